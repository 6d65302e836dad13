// Which k of n modules a token takes, and with what weight (formwork/channels/router.h says by what rule).
#pragma once
#include "formwork/channels/router_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {

class Router {
 public:
  Router(const Scope& scope, const Axis& modules, const RouterOptions& options);
  int64_t active() const { return options_.active; }
  // x [rows, in] -> modules and gates [rows, k], most probable first. `probabilities` [rows, n].
  void choose(Pass& pass, In x, float* probabilities, int32_t* modules, float* gates) const;

 private:
  RouterOptions options_;
  int64_t count_, hidden_ = 0;
  std::unique_ptr<LinearMap> inner_, router_;
};

}  // namespace formwork::runtime
