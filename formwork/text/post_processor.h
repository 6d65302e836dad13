// What is set around the ids of one text or of two: special tokens and type ids. Types and meanings are those
// of `tokenizer.json`: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel (changes no ids),
// Sequence.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

namespace formwork {

struct PostProcessor {
  struct Item {
    enum class Kind { first, second, special } kind;
    std::vector<int64_t> ids;  // of a special token
    int64_t type = 0;
  };
  using Template = std::vector<Item>;
  Template single, pair;

  // Adds nothing; the second text of a pair has type 1.
  PostProcessor();
};

// Throws Error, starting with `where`, for an unknown type or wrong options.
PostProcessor make_post_processor(const nlohmann::json& content, std::string_view where);

}  // namespace formwork
