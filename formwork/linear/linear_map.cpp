#include "formwork/linear/linear_map.h"

#include <ATen/core/grad_mode.h>

namespace formwork {

FORMWORK_KIND(LinearMap);

const char* role_name(Role role) {
  static constexpr const char* names[] = {"query", "key",      "value", "qkv",     "out",  "up",
                                          "gate",  "gate_up",  "down",  "embed",   "head", "router",
                                          "conv",  "shortcut", "inner", "transfer"};
  return names[static_cast<int>(role)];
}

namespace {

// The axis that a tap of a map carries: the dimension's, or an unnamed one where it has several.
Axis tap_axis(const Dim& dim) {
  return dim.segments.size() == 1 && dim.segments[0].size() == 1 ? dim.segments[0][0] : Axis{"", dim.size()};
}

}  // namespace

LinearMap::LinearMap(Build& build, const LinearNeed& need)
    : inventory_(&build.inventory()), need_(need), path_(build.path()), owns_input_(need.input < 0) {
  input_ = owns_input_ ? build.tap("in", tap_axis(need.in)) : need.input;
  output_ = build.tap("out", tap_axis(need.out));
  if (!need.bias) return;
  Rule rule;
  rule.init = need.bias_init;
  rule.decay = need.bias_decay;
  Dim out = need.out;
  out.writes = true;
  bias_ = own(build.param("bias", with_bank({out}), rule));
}

std::vector<Dim> LinearMap::with_bank(std::vector<Dim> dims) const {
  if (need_.bank.size > 0) dims.insert(dims.begin(), Dim(need_.bank));
  return dims;
}

Param* LinearMap::own(Param* param) {
  params_.push_back(param);
  return param;
}

Tensor LinearMap::bias_value(Context& ctx, int64_t bank) const {
  if (!bias_) return {};
  const auto& value = ctx.value(*bias_);
  return bank >= 0 ? value.select(0, bank) : value;
}

Tensor LinearMap::forward(Context& ctx, const Tensor& x, int64_t bank) {
  return ctx.tap(output_, product(ctx, owns_input_ ? ctx.tap(input_, x) : x, bank));
}

Tensor LinearMap::transposed(Context& ctx, const Tensor& y) { return y.matmul(dense(ctx)); }

Tensor LinearMap::rows(Context& ctx, const Tensor& ids) { return at::embedding(dense(ctx), ids); }

Tensor LinearMap::dense() {
  const at::NoGradGuard guard;
  Context ctx;
  return dense(ctx).detach().to(inventory_->dtype);
}

int64_t LinearMap::bytes() const {
  int64_t total = 0;
  for (const Param* param : params_)
    if (param->value.defined()) total += static_cast<int64_t>(param->value.nbytes());
  return total;
}

namespace {

std::unique_ptr<LinearMap> make_from(const Build& build, const std::string& name, LinearNeed need,
                                     const PartSpec& spec) {
  Build child = build.at(name);
  const auto& entry = Registry<LinearMap>::find(spec.type, child.path());
  Json options = spec.options;
  if (const auto bias = options.find("bias"); bias != options.end()) {
    if (!bias->is_boolean())
      fail("linear map of {}: option 'bias' must be true or false, found {}", child.path(), bias->dump());
    need.bias = bias->get<bool>();
    options.erase(bias);
  }
  auto map = entry.make(child, need, options);
  build.inventory().maps.push_back(map.get());
  return map;
}

}  // namespace

std::unique_ptr<LinearMap> make_linear(const Build& build, const std::string& name, LinearNeed need) {
  const Json* entry = lookup(build.inventory().spec.linear, build.name(name));
  const PartSpec spec = entry ? PartSpec::from_json(*entry, "linear map of " + build.name(name)) : "dense";
  return make_from(build, name, need, spec);
}

std::unique_ptr<LinearMap> make_optional_linear(const Build& build, const std::string& name,
                                                LinearNeed need) {
  const auto& table = build.inventory().spec.linear;
  const auto entry = table.find(build.name(name));
  if (entry == table.end()) return nullptr;
  return make_from(build, name, need, PartSpec::from_json(*entry, build.name(name)));
}

}  // namespace formwork
