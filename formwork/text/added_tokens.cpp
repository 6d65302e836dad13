#include "formwork/text/added_tokens.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/unicode/unicode_classes.h"

namespace formwork {

std::vector<AddedToken> added_tokens_from_json(const nlohmann::json& list, std::string_view where) {
  if (!list.is_array()) fail("{}: expected added_tokens to be a list, found {}", where, shown(list));
  std::vector<AddedToken> tokens;
  for (const nlohmann::json& entry : list) {
    AddedToken token;
    token.content = text_field(entry, "content", where);
    if (token.content.empty())
      fail("{}: expected the content of an added token to be a text, found an empty one", where);
    token.id = count_field(entry, "id", -1, where);
    if (token.id < 0) fail("{}: the added token '{}' has no id", where, token.content);
    token.special = flag_field(entry, "special", false, where);
    token.single_word = flag_field(entry, "single_word", false, where);
    token.lstrip = flag_field(entry, "lstrip", false, where);
    token.rstrip = flag_field(entry, "rstrip", false, where);
    token.normalized = flag_field(entry, "normalized", !token.special, where);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

nlohmann::json added_tokens_to_json(const std::vector<AddedToken>& tokens) {
  nlohmann::json list = nlohmann::json::array();
  for (const AddedToken& token : tokens)
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  return list;
}

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, const std::vector<size_t>& chosen,
                                   const std::vector<std::string>& texts)
    : tokens_(tokens) {
  int distinct = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (texts[i].empty()) continue;
    trie_.add(texts[i], static_cast<int32_t>(chosen[i]));
    const auto byte = static_cast<uint8_t>(texts[i][0]);
    if (!starts_[byte]) ++distinct;
    starts_[byte] = true;
    only_start_ = byte;
  }
  if (distinct != 1) only_start_ = -1;
}

size_t AddedTokenFinder::next_start(std::string_view text, size_t at) const {
  if (at >= text.size() || empty()) return text.size();
  if (only_start_ >= 0) {
    const void* found = std::memchr(text.data() + at, only_start_, text.size() - at);
    return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : text.size();
  }
  while (at < text.size() && !starts_[static_cast<uint8_t>(text[at])]) ++at;
  return at;
}

bool AddedTokenFinder::stands_alone(std::string_view text, size_t first, size_t last) {
  const bool before = first > 0 && is_word(next_code_point(text, previous_start(text, first)).code);
  const bool after = last < text.size() && is_word(next_code_point(text, last).code);
  return !before && !after;
}

size_t AddedTokenFinder::space_before(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t start = previous_start(text, end);
    if (!is_space(next_code_point(text, start).code)) break;
    end = start;
  }
  return end;
}

size_t AddedTokenFinder::space_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (!is_space(point.code)) break;
    at += point.bytes;
  }
  return at;
}

}  // namespace formwork
