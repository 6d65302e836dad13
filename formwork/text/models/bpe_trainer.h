// Learns a byte-level BPE vocabulary from text.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/models/bpe_model.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

struct BpeTraining {
  int64_t vocab_size = 1024;         // special tokens + 256 bytes + merges, at least 256 + special
  int64_t min_count = 2;             // a pair that occurs less often is not merged
  std::vector<std::string> special;  // get the first ids, in this order
};

// Merges the most frequent pair of neighbours inside words, again and again; of equally frequent pairs the
// one with the smaller (left id, right id). The vocabulary is smaller than asked when no pair is left.
// Pair counts are kept up to date, so one merge costs only the words that hold its pair.
// Throws Error when vocab_size is too small or a special token is empty or named twice.
BpeModel train_bpe_model(std::string_view text, const BpeTraining& options);

std::unique_ptr<Tokenizer> train_bpe(std::string_view text, const BpeTraining& options);

}  // namespace formwork
