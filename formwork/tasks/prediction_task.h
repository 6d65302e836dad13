// What tasks share whose targets are classes: tokens of a vocabulary, labels of a row.
#pragma once
#include "formwork/tasks/task.h"

namespace formwork {

// Objective: cross-entropy of the field "logits" [..., C] with the targets. Metrics: loss (nats a target),
// perplexity = exp(loss), accuracy (share of targets that have the greatest logit).
class PredictionTask : public Task {
 public:
  Tensor objective(const Record& out, const Batch& batch, double scale) const override;
  void measure(const Record& out, const Batch& batch, Sums& sums) const override;
  Metrics metrics(const Sums& sums) const override;

 protected:
  // The logits, after a check that they are there and have a class for every target.
  static const Tensor& logits(const Record& out, const Batch& batch);
};

// attention_mask [B, T] for rows of `lengths` [B] real tokens; undefined when all are `tokens` long.
Tensor mask_of_lengths(const Tensor& lengths, int64_t tokens);

}  // namespace formwork
