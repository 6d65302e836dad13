#include "formwork/train/steps/step_rule.h"

#include "formwork/core/random.h"
#include "formwork/train/train_options.h"

namespace formwork {

FORMWORK_KIND(StepRule);

std::vector<Batch> TrainingStep::parts(const Batch& batch) const {
  const int64_t count = std::min(run_.options.accumulate, batch.rows());
  if (count == 1) return {batch};
  std::vector<Batch> parts;
  for (int64_t part = 0; part < count; ++part) {
    const int64_t first = batch.rows() * part / count, end = batch.rows() * (part + 1) / count;
    parts.push_back(batch.narrow(first, end - first));
  }
  return parts;
}

Context TrainingStep::context(int64_t part, TapBoard* board) const {
  auto ctx = run_.model.make_context(board);
  ctx.mode.train = true, ctx.mode.checkpoint = run_.options.checkpoint;
  ctx.progress = static_cast<double>(step_) / static_cast<double>(run_.options.steps);
  ctx.seed = mix(mix(static_cast<uint64_t>(run_.options.seed), static_cast<uint64_t>(step_)),
                 static_cast<uint64_t>(part));
  return ctx;
}

Tensor TrainingStep::objective(Context& ctx, const Record& out, const Batch& part, int64_t targets) const {
  return with_auxiliary(ctx, run_.task.objective(out, part, 1 / static_cast<double>(targets)), part, targets);
}

Tensor TrainingStep::with_auxiliary(const Context& ctx, Tensor loss, const Batch& part,
                                    int64_t targets) const {
  // Auxiliary losses are means over a part's tokens, so each part counts by its share of the targets.
  if (ctx.auxiliary.empty()) return loss;
  const double share = static_cast<double>(part.target_count()) / static_cast<double>(targets);
  for (const auto& [name, term] : ctx.auxiliary) loss = loss + term * share;
  return loss;
}

int64_t TrainingStep::targets(const Batch& batch) const {
  const int64_t targets = batch.target_count();
  if (targets == 0) fail("train: no row of step {} has a target", step_ + 1);
  return targets;
}

double TrainingStep::backward(const Batch& batch) const {
  targets(batch);
  const auto whole = batch.size();
  double loss = 0;
  int64_t index = 0;
  for (const auto& part : parts(batch)) loss += backward_part(part, index++, whole);
  return loss;
}

double TrainingStep::backward_part(const Batch& part, int64_t index, const BatchSize& whole) const {
  Tensor loss;
  {
    const PrecisionGuard precision(run_.options.precision, part.targets.device().type());
    auto ctx = context(index);
    loss = with_auxiliary(ctx, run_.task.loss(run_.model, ctx, part, whole), part, whole.targets);
  }
  loss.backward();
  return loss.item<double>();
}

Clipped StepRule::clip(FlatParameters& parameters, double most) {
  Clipped clipped;
  clipped.norm = parameters.gradient_norm();
  if (most > 0 && clipped.norm > most) clipped.scale = most / clipped.norm;
  return clipped;
}

TensorMap StepRule::state() {
  TensorMap state;
  if (auto* own = parts())
    for (auto& param : own->params)
      if (param.value.defined()) state[param.name] = param.value.detach();
  return state;
}

void StepRule::load_state(const TensorMap& state, const std::string& where) {
  const at::NoGradGuard guard;
  auto expected = this->state();
  for (auto& [name, value] : expected) {
    const auto found = state.find(name);
    if (found == state.end()) fail("{}: '{}' of the step rule is missing", where, name);
    if (found->second.sizes() != value.sizes() || found->second.scalar_type() != value.scalar_type())
      fail("{}: '{}': expected {} [{}], found {} [{}]", where, name, c10::toString(value.scalar_type()),
           fmt::join(value.sizes().vec(), ", "), c10::toString(found->second.scalar_type()),
           fmt::join(found->second.sizes().vec(), ", "));
    value.copy_(found->second);
  }
  for (const auto& [name, value] : state)
    if (!expected.count(name)) fail("{}: '{}' belongs to no part of the step rule", where, name);
}

}  // namespace formwork
