// The precompiled character map of a SentencePiece model: a double-array trie from sequences of characters to
// what replaces them (SentencePiece, Kudo and Richardson, 2018).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

class Charsmap {
 public:
  // The bytes as a model file holds them: size of the trie, trie, replacements. Error for anything else.
  Charsmap(std::string_view bytes, std::string_view where);

  // The replacement of the shortest stored prefix of `text`, if there is one.
  std::optional<std::string_view> replacement(std::string_view text) const;
  // Of the longest one; `length` is its size.
  std::optional<std::string_view> longest(std::string_view text, size_t& length) const;

 private:
  template <class Visit>
  void prefixes(std::string_view text, Visit&& visit) const;

  std::vector<uint32_t> units_;
  std::string texts_;  // each ends with a zero byte
};

// RFC 4648 with padding; Error for anything else.
std::string from_base64(std::string_view text, std::string_view where);
std::string to_base64(std::string_view bytes);

}  // namespace formwork
