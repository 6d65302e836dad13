#include "formwork/transforms/compare/quality.h"

#include "formwork/data/text_corpus.h"

namespace formwork {
namespace {

struct MeanAndError {
  double mean, error;
};

MeanAndError mean_and_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return {mean, n > 1 ? std::sqrt(squares / (n - 1) / n) : 0};
}

// Samples without a target say nothing.
struct Fidelity {
  std::vector<double> divergence, agreement;  // a number each sample

  void add(const Tensor& original, const Tensor& model, const Tensor& targets) {
    const auto p = original.to(at::kFloat).log_softmax(-1), q = model.to(at::kFloat).log_softmax(-1);
    const auto kl = (p.exp() * (p - q)).sum(-1).to(at::kDouble);
    const auto same = p.argmax(-1).eq(q.argmax(-1)).to(at::kDouble);
    const auto keep = targets.ne(ignored_target);
    for (int64_t row = 0; row < targets.size(0); ++row) {
      const auto real = keep[row];
      if (!real.any().item<bool>()) continue;
      divergence.push_back(kl[row].masked_select(real).mean().item<double>());
      agreement.push_back(same[row].masked_select(real).mean().item<double>());
    }
  }
};

Record outputs(Model& model, const Batch& batch) {
  auto ctx = model.make_context();
  return model.forward(ctx, batch.inputs);
}

}  // namespace

Json measure_quality(Model& original, Model& model, Task& task, int64_t samples, int64_t batch) {
  const at::NoGradGuard guard;
  const int64_t all = task.evaluation_samples();
  const int64_t wanted = samples > 0 ? std::min(samples, all) : all;
  if (wanted == 0) fail("the task has no sample to evaluate on");
  Fidelity fidelity;
  Sums sums;
  for (int64_t done = 0; done < wanted; done += batch) {
    auto rows = task.evaluation_batch(batch, done / batch);
    if (rows.rows() > wanted - done) rows = rows.narrow(0, wanted - done);
    const auto out = outputs(model, rows);
    task.measure(out, rows, sums);
    const auto reference = &model == &original ? out : outputs(original, rows);
    fidelity.add(reference.at("logits"), out.at("logits"), rows.targets);
  }
  const auto metrics = task.metrics(sums);
  if (!std::isfinite(metrics.loss)) fail("the loss is {}", metrics.loss);
  if (fidelity.divergence.empty()) fail("none of {} evaluation samples has a target", wanted);
  const auto kl = mean_and_error(fidelity.divergence), same = mean_and_error(fidelity.agreement);
  return {{"loss", metrics.loss},      {"kl", kl.mean},
          {"kl error", kl.error},      {"top-1", same.mean},
          {"top-1 error", same.error}, {"samples", metrics.samples}};
}

}  // namespace formwork
