// A text as two streams of token ids, and the batches that language models train and are measured on.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "formwork/text/tokenizer.h"

namespace formwork {

// The target that losses leave out.
inline constexpr int64_t ignored_target = -100;

struct TokenBatch {
  at::Tensor tokens;   // [B, T] int64
  at::Tensor targets;  // [B, T] int64, ignored_target where there is none
  at::Tensor lengths;  // [B] int64, real tokens of each row; the rest of a row is token 0
};

class TextCorpus {
 public:
  // The first `train_fraction` of the bytes (moved to the start of a character) train, the rest validates;
  // the two are encoded apart. Throws Error when train_fraction is not in (0, 1] or the text is empty.
  TextCorpus(std::string_view text, const Tokenizer& tokenizer, double train_fraction = 0.9);

  const std::vector<int64_t>& train() const { return train_; }
  const std::vector<int64_t>& validation() const { return validation_; }

 private:
  std::vector<int64_t> train_, validation_;
};

// Throws Error when the file cannot be read or is empty.
TextCorpus load_text_corpus(const std::filesystem::path& path, const Tokenizer& tokenizer,
                            double train_fraction = 0.9);

// B windows of T tokens at random places and, as targets, the tokens that follow. The batch depends only on
// (seed, step), so a resumed run sees the same data. Throws Error when the stream has fewer than T + 1
// tokens.
TokenBatch random_windows(const std::vector<int64_t>& stream, int64_t batch, int64_t length, uint64_t seed,
                          int64_t step);

// The whole stream cut into windows side by side: each token but the first is a target exactly once, the last
// window may be shorter. The last batch has the rows that are left. Throws Error below two tokens.
class EvaluationWindows {
 public:
  EvaluationWindows(const std::vector<int64_t>& stream, int64_t batch, int64_t length);
  int64_t batches() const;
  TokenBatch operator[](int64_t index) const;

 private:
  const std::vector<int64_t>& stream_;
  int64_t batch_, length_, windows_;
};

}  // namespace formwork
