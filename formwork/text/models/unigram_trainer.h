// Learns a Unigram vocabulary from text: from a large set of frequent substrings, those whose loss costs the
// likelihood least are removed, with expectation maximization in between (Subword Regularization, Kudo,
// 2018).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/tokenizer.h"

namespace formwork {

struct UnigramTraining {
  int64_t vocab_size = 8192;  // special tokens, all characters and longer pieces
  int64_t longest = 16;       // characters of a piece
  std::vector<std::string> special = {"<unk>", "<s>", "</s>"};  // the first ids; must hold <unk>
};

// Text is brought to form NFKC, words begin with U+2581 as in SentencePiece. Characters are never removed, so
// the vocabulary may be larger than asked where the text has more of them, or smaller where it has little.
std::unique_ptr<Tokenizer> train_unigram(std::string_view text, const UnigramTraining& options);

}  // namespace formwork
