#include "formwork/linear/stored.h"

#include "formwork/core/random.h"

namespace formwork {

void require_single(const Build& build, const LinearNeed& need, const char* type) {
  if (need.bank.size > 0)
    fail("{}: '{}' holds a single matrix, and this map is a bank of {}", build.path(), type, need.bank.size);
}

void restrict_axes(const Build& build, const Dim& dim, Group group, const std::string& reason) {
  for (const auto& segment : dim.segments)
    for (const auto& axis : segment) build.restrict(axis, group, reason);
}

Rule stored_rule(at::ScalarType dtype) {
  Rule rule;
  rule.decay = false;
  rule.frozen = true;
  rule.keep_dtype = true;
  rule.dtype = dtype;
  return rule;
}

Tensor initial_weight(const Build& build, const LinearNeed& need) {
  const auto& inventory = build.inventory();
  if (!inventory.allocate) return {};
  auto weight = at::zeros({need.out.size(), need.in.size()}, at::TensorOptions(inventory.dtype));
  need.init.fill(weight, make_stream(inventory.seed, build.name("weight")));
  return weight;
}

void begin_with(const Build& build, const std::map<std::string, Tensor>& tensors) {
  const at::NoGradGuard guard;
  for (const auto& [suffix, tensor] : tensors) {
    auto* param = build.inventory().by_name.at(build.name(suffix));
    if (param->name == build.name(suffix)) param->value.copy_(tensor);
  }
}

}  // namespace formwork
