// Learns a WordPiece vocabulary from text, as the Hugging Face library does: pairs of neighbouring pieces are
// merged by how often they occur (the BPE of Sennrich et al., 2016, with ## before pieces inside a word), and
// the pieces alone are kept.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/tokenizer.h"

namespace formwork {

struct WordPieceTraining {
  int64_t vocab_size = 8192;  // special tokens, characters and merged pieces
  int64_t min_count = 2;      // a pair that occurs less often is not merged
  bool lowercase = true;      // and without accents
  std::vector<std::string> special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};  // the first ids
};

// Text is cleaned and cut as BERT does it. The vocabulary is smaller than asked when no pair is left, and
// holds the most frequent characters when it has no room for all. Throws Error when vocab_size has no room
// for any character, or [UNK], [CLS] or [SEP] is not among `special`.
std::unique_ptr<Tokenizer> train_wordpiece(std::string_view text, const WordPieceTraining& options);

}  // namespace formwork
