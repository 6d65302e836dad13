// What BERT, RoBERTa and DistilBERT share: an encoder of post-norm layers with learned positions.
#pragma once
#include "formwork/interop/families/family.h"

namespace formwork {

struct BertSizes {
  int64_t width = 0, layers = 0, heads = 0, hidden = 0, positions = 0, segments = 0;
  double eps = 1e-12;
  std::string activation = "gelu";
};

// The encoder with this head. `tie`: the head shares the embedding.
Spec bert_spec(const Config& config, const BertSizes& sizes, const Json& head, bool tie);

// BERT's keys.
BertSizes bert_sizes(const Config& config);

// Embedding, layers and their norms, of BERT and RoBERTa; `skipped`: rows in front of the positions.
void bert_rules(WeightRules& rules, const std::string& prefix, int64_t skipped);

}  // namespace formwork
