// Corruption for masked language modelling: BERT: Pre-training of Deep Bidirectional Transformers (2019).
#pragma once
#include <cstdint>
#include <vector>

#include "formwork/data/text_corpus.h"

namespace formwork {

struct MaskedLmOptions {
  int64_t mask_id = 0;                 // what hides a token
  int64_t vocab_size = 0;              // random tokens are drawn from [0, vocab_size)
  double probability = 0.15;           // share of tokens to predict
  double mask_share = 0.8;             // of these, hidden by mask_id
  double random_share = 0.1;           // of these, replaced by a random token; the rest stay as they are
  std::vector<int64_t> protected_ids;  // never chosen
};

// Chooses each real token of batch.tokens [B, T] with `probability`; its target is the token itself, all
// other targets are ignored_target. When chance chooses none in the batch, the first real, unprotected token
// is. Depends only on the tokens and (seed, step). Throws Error for shares out of range or ids outside the
// vocabulary.
TokenBatch mask_tokens(const TokenBatch& batch, const MaskedLmOptions& options, uint64_t seed, int64_t step);

}  // namespace formwork
