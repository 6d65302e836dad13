// An inner loop built alone, random tokens for it, and the recurrence written down once more.
#pragma once
#include "formwork/mixers/fast_weights/inner_parts.h"
#include "mixer_alone.h"

namespace formwork {

struct LoopSize {
  int64_t batch = 2, heads = 2, tokens = 11, keys = 3, values = 3;
};

struct LoopAlone {
  std::unique_ptr<Inventory> inventory = std::make_unique<Inventory>();
  LoopSize size;
  InnerParts parts;

  // json: the options of a mixer with fast weights.
  LoopAlone(const std::string& json, const LoopSize& size) : size(size) {
    inventory->dtype = at::kDouble, inventory->seed = 5;
    const Build root(*inventory, "mixer", {}, {});
    parts = make_inner_parts(root, parse_options<FastWeightOptions>(Json::parse(json), "test"),
                             root.axis("heads", size.heads), root.axis("key_width", size.keys),
                             root.axis("value_width", size.values));
  }

  FastState fresh() const {
    return fresh_state(parts.loop, size.batch, size.heads, size.values, at::kDouble);
  }
  Tensor run(const InnerTokens& tokens, FastState& state) const {
    Context ctx;
    return run_inner_loop(ctx, parts.loop, tokens, state);
  }
  Tensor run(const InnerTokens& tokens) const {
    auto state = fresh();
    return run(tokens, state);
  }
  Tensor features(const Tensor& x) const {
    Context ctx;
    return parts.features->of(ctx, x);
  }
  std::vector<Tensor> parameters() {
    std::vector<Tensor> list;
    for (auto& param : inventory->params) list.push_back(param.value);
    return list;
  }
};

inline Tensor unit_rows(const Tensor& x) { return x / x.norm(2, -1, true); }

// Rates in (0, 1) as training has them.
inline InnerTokens random_tokens(const LoopSize& n) {
  const std::vector<int64_t> each = {n.batch, n.heads, n.tokens};
  const auto random = [&](int64_t width) {
    return at::randn({n.batch, n.heads, n.tokens, width}, at::kDouble);
  };
  InnerTokens t;
  t.queries = unit_rows(random(n.keys)), t.keys = unit_rows(random(n.keys)), t.values = random(n.values);
  t.gates = at::rand(each, at::kDouble);
  t.decay = (at::rand(each, at::kDouble) * 0.5 + 0.5).log();
  t.momentum = (at::rand(each, at::kDouble) * 0.8 + 0.1).log();
  t.rate = at::rand(each, at::kDouble) * 0.3 + 0.05;
  return t;
}

// The same rates for all tokens, no momentum and open gates.
inline InnerTokens with_rates(InnerTokens t, double alpha, double eta) {
  t.gates = at::ones_like(t.gates), t.momentum = Tensor();
  t.decay = at::full_like(t.decay, std::log(alpha)), t.rate = at::full_like(t.rate, eta);
  return t;
}

}  // namespace formwork
