// A single linear map "map" outside any model.
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

struct OneMap {
  Inventory inventory;
  std::unique_ptr<LinearMap> map;

  OneMap(int64_t in, int64_t out, const Json& representation, at::ScalarType dtype = at::kFloat,
         bool bias = false) {
    inventory.dtype = dtype;
    inventory.spec.linear["map"] = representation;
    Build build(inventory, "", {}, {});
    LinearNeed need;
    need.in = build.global_axis("in", in), need.out = build.global_axis("out", out), need.bias = bias;
    map = make_linear(build, "map", need);
  }
  Tensor& tensor(const std::string& name) { return inventory.by_name.at("map." + name)->value; }
  void set(const std::map<std::string, Tensor>& tensors) {
    for (const auto& [name, value] : tensors) tensor(name) = value;
  }
  Tensor operator()(const Tensor& x) {
    Context ctx;
    return map->forward(ctx, x);
  }
};

inline double largest(const Tensor& x) { return x.numel() ? x.abs().max().item<double>() : 0; }

// The largest distance between autograd and central differences of a weighted sum of f(), by the entries of
// x.
template <class F>
double gradient_error(const Tensor& x, const F& f) {
  const auto weights = at::randn_like(f()).detach();
  const auto total = [&] { return (f() * weights).sum(); };
  const Tensor grad = torch::autograd::grad({total()}, {x})[0].contiguous();
  const at::NoGradGuard guard;
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    double* entry = x.mutable_data_ptr<double>() + i;
    const double before = *entry, step = 1e-5;
    *entry = before + step;
    const auto up = total().template item<double>();
    *entry = before - step;
    const auto down = total().template item<double>();
    *entry = before;
    worst = std::max(worst, std::abs((up - down) / (2 * step) - grad.const_data_ptr<double>()[i]));
  }
  return worst;
}

}  // namespace formwork
