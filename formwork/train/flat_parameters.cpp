#include "formwork/train/flat_parameters.h"

#include "formwork/kernels/cpu/optimizer.h"
#include "formwork/models/model.h"

namespace formwork {
namespace {

constexpr int64_t kAlignment = 16;  // elements: every piece starts on a cache line

// A tensor over part of `flat` that autograd does not take for a view.
Tensor window(const Tensor& flat, int64_t offset, at::IntArrayRef shape) {
  const at::NoGradGuard guard;
  return at::empty({0}, flat.options()).set_(flat.storage(), offset, shape);
}

void check_trainable(const Param& param) {
  const auto dtype = param.value.scalar_type();
  if (dtype != at::kFloat && dtype != at::kDouble)
    fail("train: parameter '{}' is {}; parameters must be float32 or float64 (ask for bf16 by precision)",
         param.name, c10::toString(dtype));
  if (!param.value.is_cpu()) fail("train: parameter '{}' is not on the CPU", param.name);
}

bool belongs(const FlatGroup& group, const Param& param, int64_t method) {
  const auto& first = *group.pieces.front().param;
  return group.method == method && group.rate == param.rule.rate && group.decay == param.rule.decay &&
         first.value.scalar_type() == param.value.scalar_type() &&
         first.value.device() == param.value.device();
}

void move_into_array(FlatGroup& group) {
  int64_t size = 0;
  for (auto& piece : group.pieces) {
    piece.offset = size;
    size += (piece.param->value.numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  const auto options = group.pieces.front().param->value.options().requires_grad(false);
  group.value = at::zeros({size}, options);
  group.gradient = at::zeros({size}, options);
  for (const auto& piece : group.pieces) {
    auto& value = piece.param->value;
    auto place = window(group.value, piece.offset, value.sizes());
    place.copy_(value.detach());
    value = place.set_requires_grad(true);
    value.mutable_grad() = window(group.gradient, piece.offset, value.sizes());
  }
}

}  // namespace

Trainee::Trainee(Model& model) : inventories{&model.inventory()} {}

Trainee::Trainee(Model& model, Inventory* beside) : Trainee(model) {
  if (beside) inventories.push_back(beside);
}

Tensor FlatGroup::view(const Tensor& flat, const Piece& piece) const {
  return window(flat, piece.offset, piece.param->value.sizes());
}

FlatParameters::FlatParameters(const Trainee& trainee, const std::function<int64_t(const Param&)>& method) {
  for (auto* inventory : trainee.inventories)
    for (auto& param : inventory->params)
      if (param.trainable() && param.value.numel() > 0) enter(param, method ? method(param) : 0);
  if (groups_.empty()) fail("train: the model has no trainable parameter");
  for (auto& group : groups_) move_into_array(group);
}

void FlatParameters::enter(Param& param, int64_t method) {
  check_trainable(param);
  auto group = std::find_if(groups_.begin(), groups_.end(),
                            [&](const FlatGroup& g) { return belongs(g, param, method); });
  if (group == groups_.end()) {
    groups_.emplace_back();
    group = groups_.end() - 1;
    group->rate = param.rule.rate, group->decay = param.rule.decay, group->method = method;
  }
  group->pieces.push_back({&param, 0});
}

FlatParameters::~FlatParameters() {
  for (auto& group : groups_)
    for (auto& piece : group.pieces) {
      auto& value = piece.param->value;
      // A parameter that was replaced meanwhile is not ours any more.
      if (!value.is_alias_of(group.value)) continue;
      value = value.detach().clone().set_requires_grad(true);
    }
}

int64_t FlatParameters::size() const {
  int64_t size = 0;
  for (const auto& group : groups_) size += group.value.numel();
  return size;
}

void FlatParameters::clear_gradients() {
  for (auto& group : groups_) group.gradient.zero_();
}

void FlatParameters::mark_written() {
  for (auto& group : groups_)
    for (const auto& piece : group.pieces) piece.param->value.unsafeGetTensorImpl()->bump_version();
}

double FlatParameters::gradient_norm() const {
  double squares = 0;
  for (const auto& group : groups_) {
    if (group.value.scalar_type() == at::kDouble)
      squares += sum_of_squares(group.gradient.numel(), group.gradient.const_data_ptr<double>());
    else
      squares += sum_of_squares(group.gradient.numel(), group.gradient.const_data_ptr<float>());
  }
  return std::sqrt(squares);
}

}  // namespace formwork
