// Tokens that are found in a text before a model sees it: special ones (<s>, [CLS]) and later additions.
#pragma once
#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/models/byte_trie.h"
#include "formwork/text/models/vocabulary.h"
#include "formwork/text/normalizers/normalizer.h"

namespace formwork {

struct AddedToken {
  int64_t id = 0;
  std::string content;
  bool single_word = false;  // not where a word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = true;    // is looked for in normalized text
  bool special = false;      // a decoded text may leave it out
};

std::vector<AddedToken> added_tokens_from_json(const nlohmann::json& list, std::string_view where);
nlohmann::json added_tokens_to_json(const std::vector<AddedToken>& tokens);

// Finds the longest of a set of tokens at the leftmost place, again and again.
class AddedTokenFinder {
 public:
  // `tokens` must outlive this; `texts[i]` is what is looked for in place of tokens[chosen[i]].content.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, const std::vector<size_t>& chosen,
                   const std::vector<std::string>& texts);

  bool empty() const { return trie_.empty(); }

  // Calls between(first, last) for each stretch without tokens that is not empty, and found(token) for each
  // token, in order.
  template <class Between, class Found>
  void split(std::string_view text, Between&& between, Found&& found) const {
    size_t done = 0;
    for (size_t at = next_start(text, 0); at < text.size();) {
      int32_t which = -1;
      size_t length = 0;
      trie_.prefixes(text, at, [&](size_t bytes, int32_t value) {
        length = bytes;
        which = value;
      });
      if (which < 0) {
        at = next_start(text, at + 1);
        continue;
      }
      const AddedToken& token = tokens_[static_cast<size_t>(which)];
      if (!token.single_word || stands_alone(text, at, at + length)) {
        const size_t first = token.lstrip ? std::max(space_before(text, at), done) : at;
        if (done < first) between(done, first);
        found(token);
        done = token.rstrip ? space_after(text, at + length) : at + length;
      }
      at = next_start(text, at + length);
    }
    if (done < text.size()) between(done, text.size());
  }

 private:
  size_t next_start(std::string_view text, size_t at) const;
  static bool stands_alone(std::string_view text, size_t first, size_t last);
  static size_t space_before(std::string_view text, size_t end);
  static size_t space_after(std::string_view text, size_t at);

  const std::vector<AddedToken>& tokens_;
  ByteTrie trie_;
  std::array<bool, 256> starts_{};  // bytes with which tokens begin
  int only_start_ = -1;             // the one such byte, if there is one
};

}  // namespace formwork
