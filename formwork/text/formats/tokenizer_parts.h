// A tokenizer from the arrays that a GGUF file holds (the keys tokenizer.ggml.*).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/tokenizer.h"

namespace formwork {

struct TokenizerParts {
  std::string model;  // "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), "bert" (WordPiece),
                      // "t5" (SentencePiece Unigram)
  std::string pre;    // how words are cut, for "gpt2": "smollm", "llama-bpe", "qwen2", ...
  std::vector<std::string> tokens;  // id -> text, in the model's own writing
  std::vector<std::string> merges;  // "left right", earlier ones first; for "gpt2"
  std::vector<float> scores;        // for "llama" and "t5"
  std::vector<int32_t> types;       // TokenType of each token; may be empty
  SpecialIds special;
  std::optional<bool> add_bos, add_eos;  // absent: as is usual for the model
  bool add_space_prefix = true;          // "llama", "t5": a space before the text
  bool remove_extra_whitespaces = false;
  std::string precompiled_charsmap;  // raw bytes
};

enum class TokenType : int32_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

// Throws Error, starting with `where`, for an unknown model or pre-tokenizer (naming those that are known)
// and for arrays that do not fit together.
std::unique_ptr<Tokenizer> tokenizer_from_parts(const TokenizerParts& parts, std::string_view where);

}  // namespace formwork
