#include "formwork/tasks/prediction_task.h"

#include "formwork/models/model.h"
#include "formwork/train/objectives/token_cross_entropy.h"

namespace formwork {

const Tensor& PredictionTask::logits(const Record& out, const Batch& batch) {
  const auto found = out.find("logits");
  if (found == out.end()) fail("this task needs a model that gives 'logits'; use another head");
  const auto& logits = found->second;
  if (logits.dim() != batch.targets.dim() + 1 || logits.size(0) != batch.targets.size(0) ||
      (batch.targets.dim() == 2 && logits.size(1) != batch.targets.size(1)))
    fail("logits: expected [{}, classes] for the targets, found [{}]",
         fmt::join(batch.targets.sizes().vec(), ", "), fmt::join(logits.sizes().vec(), ", "));
  return logits;
}

Tensor PredictionTask::objective(const Record& out, const Batch& batch, double scale) const {
  return token_cross_entropy(logits(out, batch), batch.targets, scale);
}

void PredictionTask::measure(const Record& out, const Batch& batch, Sums& sums) const {
  const auto& scores = logits(out, batch);
  const auto rows = scores.reshape({-1, scores.size(-1)});
  const auto targets = batch.targets.reshape({-1});
  const auto real = targets.ne(ignored_target);
  const auto losses = at::cross_entropy_loss(rows.scalar_type() == at::kDouble ? rows : rows.to(at::kFloat),
                                             targets, {}, at::Reduction::None);
  sums["loss"] += losses.to(at::kDouble).sum().item<double>();
  sums["correct"] += rows.argmax(-1).eq(targets).logical_and_(real).sum().item<double>();
  sums["targets"] += real.sum().item<double>();
  sums["samples"] += static_cast<double>(batch.rows());
}

Metrics PredictionTask::metrics(const Sums& sums) const {
  const double targets = sums.at("targets");
  Metrics metrics;
  metrics.samples = static_cast<int64_t>(sums.at("samples"));
  metrics.loss = sums.at("loss") / targets;
  metrics.values = {{"loss", metrics.loss},
                    {"perplexity", std::exp(metrics.loss)},
                    {"accuracy", sums.at("correct") / targets}};
  return metrics;
}

void check_class_head(const Model& model, const char* task, int64_t labels) {
  const auto classes = model.inventory().axes.find("head.classes");
  if (classes == model.inventory().axes.end())
    fail("{}: the model has no classifier head; its Spec needs {}", task,
         Json{{"head", {{"type", "classifier"}, {"classes", labels}}}}.dump());
  if (classes->second.size < labels)
    fail("{}: there are {} labels, the model's head has {} classes", task, labels, classes->second.size);
}

void set_mask(Batch& batch, const Tensor& lengths) {
  const int64_t tokens = batch.inputs.at("input_ids").size(1);
  if (lengths.eq(tokens).all().item<bool>()) return;
  batch.inputs["attention_mask"] =
      at::arange(tokens, at::kLong).unsqueeze(0).lt(lengths.unsqueeze(1)).to(at::kLong);
}

Batch language_batch(const TokenBatch& tokens) {
  Batch batch;
  batch.inputs["input_ids"] = tokens.tokens;
  set_mask(batch, tokens.lengths);
  batch.targets = tokens.targets;
  return batch;
}

}  // namespace formwork
