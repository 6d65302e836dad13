#include "formwork/text/bpe_json.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "formwork/core/error.h"
#include "formwork/text/byte_level.h"

namespace formwork {
namespace {

using nlohmann::json;
using Ids = std::unordered_map<std::string, int32_t>;  // raw bytes -> id

constexpr int64_t largest_vocabulary = 1 << 24;

json byte_level_json() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
}

json added_token(int32_t id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

const json& member(const json& object, const char* key, std::string_view where) {
  if (!object.is_object() || !object.contains(key)) fail("{}: expected a field '{}', found none", where, key);
  return object.at(key);
}

void require_type(const json& content, const char* key, const std::string& type, std::string_view where) {
  const json& part = member(content, key, where);
  const std::string found = part.is_object() && part.contains("type") && part["type"].is_string()
                                ? part["type"].get<std::string>()
                                : "none";
  if (found != type) fail("{}: expected a {} of type {}, found {}", where, key, type, found);
}

void require_plain_splitting(const json& content, std::string_view where) {
  if (content.contains("normalizer") && !content["normalizer"].is_null())
    fail("{}: expected no normalizer (byte-level BPE keeps every byte), found one", where);
  require_type(content, "pre_tokenizer", "ByteLevel", where);
  const json& split = content["pre_tokenizer"];
  if (split.value("add_prefix_space", json(true)) != json(false))
    fail("{}: expected add_prefix_space false, found true", where);
  if (split.value("use_regex", json(true)) != json(true))
    fail("{}: expected use_regex true, found false", where);
}

int32_t checked_id(const json& id, int64_t limit, std::string_view where) {
  if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= limit)
    fail("{}: expected a token id in [0, {}), found {}", where, limit, id.dump(-1, ' ', true));
  return id.get<int32_t>();
}

// Ids must be 0 .. n-1, each once, over the vocabulary and the added tokens together.
void place(std::vector<std::optional<std::string>>& tokens, const json& id, std::string bytes,
           std::string_view where) {
  const int32_t index = checked_id(id, largest_vocabulary, where);
  if (static_cast<size_t>(index) >= tokens.size()) tokens.resize(index + 1);
  if (tokens[index] && *tokens[index] != bytes) fail("{}: token id {} is used twice", where, index);
  tokens[index] = std::move(bytes);
}

void read_vocabulary(const json& vocabulary, std::vector<std::optional<std::string>>& tokens,
                     std::string_view where) {
  if (!vocabulary.is_object()) fail("{}: expected model.vocab to be an object", where);
  for (const auto& [printable, id] : vocabulary.items())
    // A special token may hold characters that stand for no byte; added_tokens then repeats it as it is.
    place(tokens, id, from_byte_level(printable).value_or(printable), where);
}

void read_added(const json& content, BpeModel& model, std::vector<std::optional<std::string>>& tokens,
                std::string_view where) {
  if (!content.contains("added_tokens")) return;
  const json& added = content["added_tokens"];
  if (!added.is_array()) fail("{}: expected added_tokens to be a list", where);
  for (const json& token : added) {
    const json& text = member(token, "content", where);
    if (!text.is_string() || text.get_ref<const std::string&>().empty())
      fail("{}: expected the content of an added token to be a text, found {}", where,
           text.dump(-1, ' ', true));
    const json& id = member(token, "id", where);
    const int32_t index = checked_id(id, largest_vocabulary, where);
    if (static_cast<size_t>(index) < tokens.size()) tokens[index].reset();
    place(tokens, id, text.get<std::string>(), where);
    model.special.push_back(index);
  }
}

std::pair<std::string, std::string> merge_parts(const json& merge, std::string_view where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  if (merge.is_string()) {
    const std::string both = merge.get<std::string>();
    const size_t space = both.find(' ');
    if (space != std::string::npos) return {both.substr(0, space), both.substr(space + 1)};
  }
  fail("{}: expected a merge of two tokens, found {}", where, merge.dump(-1, ' ', true));
}

int32_t known(const Ids& ids, const std::string& bytes, std::string_view where) {
  const auto found = ids.find(bytes);
  if (found == ids.end())
    fail("{}: a merge names the token '{}', which is not in the vocabulary", where, to_byte_level(bytes));
  return found->second;
}

void read_merges(const json& merges, BpeModel& model, const Ids& ids, std::string_view where) {
  if (!merges.is_array()) fail("{}: expected model.merges to be a list", where);
  for (const json& merge : merges) {
    const auto [left, right] = merge_parts(merge, where);
    const auto left_bytes = from_byte_level(left), right_bytes = from_byte_level(right);
    if (!left_bytes || !right_bytes)
      fail("{}: a merge holds a character that stands for no byte: {}", where, merge.dump(-1, ' ', true));
    known(ids, *left_bytes + *right_bytes, where);
    model.merges.emplace_back(known(ids, *left_bytes, where), known(ids, *right_bytes, where));
  }
}

}  // namespace

json bpe_model_to_json(const BpeModel& model) {
  json vocabulary = json::object(), merges = json::array(), added = json::array();
  std::vector<std::string> printable;
  for (const std::string& bytes : model.tokens) printable.push_back(to_byte_level(bytes));
  for (int32_t id : model.special) {
    printable[id] = model.tokens[id];
    added.push_back(added_token(id, model.tokens[id]));
  }
  for (size_t id = 0; id < printable.size(); ++id) vocabulary[printable[id]] = id;
  for (auto [left, right] : model.merges) merges.push_back({printable[left], printable[right]});
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level_json()},
          {"post_processor", nullptr},
          {"decoder", byte_level_json()},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

BpeModel bpe_model_from_json(const json& content, std::string_view where) {
  require_type(content, "model", "BPE", where);
  require_plain_splitting(content, where);
  const json& parts = content["model"];
  if (parts.value("ignore_merges", json(false)) == json(true))
    fail("{}: expected ignore_merges false, found true", where);
  BpeModel model;
  std::vector<std::optional<std::string>> tokens;
  read_vocabulary(member(parts, "vocab", where), tokens, where);
  read_added(content, model, tokens, where);
  Ids ids;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id]) fail("{}: the vocabulary has {} ids, but none of them is {}", where, tokens.size(), id);
    model.tokens.push_back(*tokens[id]);
  }
  std::vector<bool> is_special(tokens.size());
  for (int32_t id : model.special) is_special[id] = true;
  for (size_t id = 0; id < tokens.size(); ++id)
    if (!is_special[id]) ids.emplace(*tokens[id], id);
  for (int byte = 0; byte < 256; ++byte) known(ids, std::string(1, static_cast<char>(byte)), where);
  read_merges(member(parts, "merges", where), model, ids, where);
  return model;
}

}  // namespace formwork
