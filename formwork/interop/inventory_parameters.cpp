#include "formwork/interop/inventory_parameters.h"

#include "formwork/core/random.h"
#include "formwork/interop/raw_tensor.h"

namespace formwork {
namespace {

Raw initial_value(const Inventory& inventory, const Param& param) {
  auto value = at::zeros(param.value.sizes(), param.value.options().device(at::kCPU));
  param.rule.init.fill(value, make_stream(inventory.seed, param.name));
  return raw_of(value);
}

bool is_fixed(const Param& param) { return param.rule.frozen && param.rule.keep_dtype; }

}  // namespace

Parameters parameters_of(const Inventory& inventory) {
  Parameters all;
  for (const auto& [name, param] : inventory.by_name) {
    auto& entry = all[name];
    entry.dims = param->dims;
    entry.shared = param->name != name;
    if (is_fixed(*param))
      entry.fixed = [&inventory, param = param] { return initial_value(inventory, *param); };
  }
  return all;
}

RawMap values_of(const Inventory& inventory) {
  RawMap values;
  for (const auto& param : inventory.params)
    if (param.value.defined()) values[param.name] = raw_of(param.value);
  return values;
}

}  // namespace formwork
