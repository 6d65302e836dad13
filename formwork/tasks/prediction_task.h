// What tasks share whose targets are classes: tokens of a vocabulary, labels of a row.
#pragma once
#include "formwork/data/text_corpus.h"
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

// Enters attention_mask [B, T] for rows of `lengths` [B] real tokens, unless all are full.
void set_mask(Batch& batch, const Tensor& lengths);

// Throws when the model has no class head, or one with fewer classes than `labels`; `task` names itself.
void check_class_head(const Model& model, const char* task, int64_t labels);

// A batch of a language model.
Batch language_batch(const TokenBatch& tokens);

}  // namespace formwork
