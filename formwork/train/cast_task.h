// A task whose model learns from others: data, metrics and evaluation are those of a task, the loss is a sum
// of objectives over a cast. The trainer sees one more task, so that checkpoints, resuming, accumulation,
// schedules and averages are what they are for any run.
#pragma once
#include "formwork/train/objective.h"

namespace formwork {

class CastTask final : public Task {
 public:
  // The model that trains plays the student; `others` has the rest. Both outlive the task.
  CastTask(Task& base, const Cast& others, const std::vector<PartSpec>& objectives);

  void prepare(Json& meta) override { base_.prepare(meta); }
  Json model_needs() const override { return base_.model_needs(); }
  void check(const Model& model) const override;
  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    return base_.training_batch(rows, seed, step);
  }
  int64_t evaluation_samples() const override { return base_.evaluation_samples(); }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    return base_.evaluation_batch(rows, index);
  }
  Tensor objective(const Record& out, const Batch& batch, double scale) const override {
    return base_.objective(out, batch, scale);
  }
  Tensor loss(Model& model, Context& ctx, const Batch& part, const BatchSize& whole) const override;
  void measure(const Record& out, const Batch& batch, Sums& sums) const override {
    base_.measure(out, batch, sums);
  }
  Metrics metrics(const Sums& sums) const override { return base_.metrics(sums); }

 private:
  Task& base_;
  const Cast& others_;
  std::vector<std::unique_ptr<Objective>> objectives_;
};

// The mean over the first `samples` evaluation samples of the loss that an update on them would have.
double evaluation_loss(Model& model, const CastTask& task, int64_t samples, int64_t batch = 32);

}  // namespace formwork
