#include "formwork/text/models/bpe_json.h"

#include <nlohmann/json.hpp>

#include "formwork/text/unicode/byte_level.h"

namespace formwork {

using nlohmann::json;

json byte_level_json(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

json special_token_json(int64_t id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

json bpe_model_to_json(const BpeModel& model) {
  json vocabulary = json::object(), merges = json::array(), added = json::array();
  std::vector<std::string> printable;
  for (const std::string& bytes : model.tokens) printable.push_back(to_byte_level(bytes));
  for (int32_t id : model.special) {
    printable[id] = model.tokens[id];
    added.push_back(special_token_json(id, model.tokens[id]));
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

}  // namespace formwork
