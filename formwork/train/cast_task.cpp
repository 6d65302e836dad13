#include "formwork/train/cast_task.h"

namespace formwork {

FORMWORK_KIND(Objective);

CastTask::CastTask(Task& base, const Cast& others, const std::vector<PartSpec>& objectives)
    : base_(base), others_(others) {
  if (objectives.empty()) fail("a run over a cast needs at least one objective");
  for (const auto& spec : objectives) objectives_.push_back(Registry<Objective>::make(spec));
}

void CastTask::check(const Model& model) const {
  base_.check(model);
  for (const auto& [role, other] : others_.models()) base_.check(*other);
  for (const auto& objective : objectives_) objective->check(model, others_);
}

Tensor CastTask::loss(Model& model, Context& ctx, const Batch& part, const BatchSize& whole) const {
  CastPass pass(others_, kStudent, model, ctx, part, whole);
  Tensor sum;
  for (const auto& objective : objectives_) {
    const auto loss = objective->loss(pass);
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum;
}

double evaluation_loss(Model& model, const CastTask& task, int64_t samples, int64_t batch) {
  const at::NoGradGuard guard;
  const int64_t all = std::min(samples, task.evaluation_samples());
  double sum = 0;
  int64_t rows = 0;
  for (int64_t done = 0; done < all; done += batch) {
    auto part = task.evaluation_batch(batch, done / batch);
    if (part.rows() > all - done) part = part.narrow(0, all - done);
    auto ctx = model.make_context();
    sum += static_cast<double>(part.rows()) * task.loss(model, ctx, part, part.size()).item<double>();
    rows += part.rows();
  }
  return sum / static_cast<double>(rows);
}

}  // namespace formwork
