#include "formwork/runtime/channels/router.h"

#include <algorithm>
#include <cmath>

#include "formwork/kernels/cpu/elementwise.h"

namespace formwork::runtime {

Router::Router(const Scope& scope, const Axis& modules, const RouterOptions& options)
    : options_(options), count_(modules.size) {
  if (options.active > count_)
    fail("{}: expected 1 to {} active modules, as many as there are, found {}", scope.path(), count_,
         options.active);
  if (options.gate == "gmm") refuse(scope.path(), "router gate", options.gate, {"linear", "mlp"});
  if (scope.spec().axes.contains(scope.name("removed")))
    fail("{}: a router with rows of removed modules has no runtime form", scope.path());
  if (options.gate == "linear") {
    router_ = make_linear(scope, "router", {scope.in, modules});
    return;
  }
  const Axis hidden = scope.axis("router_hidden", options.hidden);
  hidden_ = hidden.size;
  inner_ = make_linear(scope, "router_inner", {scope.in, hidden, true});
  router_ = make_linear(scope, "router", {hidden, modules});
}

void Router::choose(Pass& pass, In x, float* probabilities, int32_t* modules, float* gates) const {
  const Arena::Frame frame(pass.arena);
  if (inner_) {
    float *raw = pass.arena.take(hidden_), *hidden = pass.arena.take(hidden_);
    inner_->run(pass, pass.rows, x, {raw, hidden_});
    elementwise(Elementwise::gelu, pass.rows, hidden_, raw, nullptr, hidden_, hidden);
    x = {hidden, hidden_};
  }
  router_->run(pass, pass.rows, x, {probabilities, count_});
  const int64_t k = options_.active;
  for (int64_t r = 0; r < pass.rows; ++r, probabilities += count_, modules += k, gates += k) {
    const float most = *std::max_element(probabilities, probabilities + count_);
    float sum = 0, chosen = 0;
    for (int64_t e = 0; e < count_; ++e) sum += probabilities[e] = std::exp(probabilities[e] - most);
    for (int64_t j = 0; j < k; ++j) {
      const auto* best = std::max_element(probabilities, probabilities + count_);
      modules[j] = static_cast<int32_t>(best - probabilities);
      gates[j] = *best / sum;
      chosen += gates[j];
      probabilities[modules[j]] = -1;  // below all that are left
    }
    if (options_.renormalize)
      for (int64_t j = 0; j < k; ++j) gates[j] /= chosen;
  }
}

}  // namespace formwork::runtime
