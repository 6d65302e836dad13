#include "formwork/studies/recipes/memory_capacity.h"

#include "formwork/core/random.h"
#include "formwork/mixers/fast_weights/inner_parts.h"

namespace formwork {
namespace {

// An inner loop in float64 with a model of its own around it.
struct Memory {
  Memory(const Json& options, int64_t keys, int64_t values) {
    inventory.dtype = at::kDouble;
    const Build root(inventory, "memory", {}, {});
    parts = make_inner_parts(root, parse_options<FastWeightOptions>(options, "memory"), root.axis("heads", 1),
                             root.axis("key_width", keys), root.axis("value_width", values));
  }
  Tensor features(const Tensor& keys) const {
    Context ctx;
    return parts.features->of(ctx, keys);
  }
  Inventory inventory;
  InnerParts parts;
};

Json matrix_memory(const char* features, int64_t window, const char* optimizer = "gd") {
  return {{"memory", "matrix"},
          {"features", features},
          {"window", window},
          {"optimizer", optimizer},
          {"chunk", 1}};
}

Tensor unit_rows(const Tensor& x) { return x / x.norm(2, -1, true); }

Tensor random(std::vector<int64_t> shape, at::Generator draws) {
  return at::randn(shape, draws, at::TensorOptions(at::kDouble));
}

double least_squares_error(const char* features, int64_t pairs, at::Generator draws) {
  const Memory memory(matrix_memory(features, 1), 8, 8);
  const auto phi = memory.features(unit_rows(random({1, 1, pairs, 8}, draws)))[0][0];
  const auto values = random({pairs, 8}, draws);
  const auto left = phi.matmul(at::linalg_pinv(phi).matmul(values)) - values;
  return left.square().mean().item<double>();
}

// Adam on the memory's analytic gradients.
double fitted_error(int64_t hidden, at::Generator draws) {
  const Memory memory({{"memory", {{"type", "mlp2"}, {"hidden", hidden}}}, {"features", "identity"}}, 8, 8);
  const auto keys = unit_rows(random({1, 1, 44, 8}, draws)), values = random({1, 1, 44, 8}, draws);
  Context ctx;
  std::vector<Tensor> weights, first, second;
  for (const auto& start : memory.parts.memory->initial(ctx, keys.options())) {
    weights.push_back(start.unsqueeze(0).clone());
    first.push_back(at::zeros_like(weights.back())), second.push_back(at::zeros_like(weights.back()));
  }
  double left = 0;
  for (int64_t step = 1; step <= 3000; ++step) {
    const auto gradients = memory.parts.memory->gradients(weights, keys, keys, [&](const Tensor& y) {
      left = (y - values).square().mean().item<double>();
      return y - values;
    });
    for (size_t j = 0; j < weights.size(); ++j) {
      const auto gradient = gradients[j].left.transpose(-2, -1).matmul(gradients[j].right);
      first[j].mul_(0.9).add_(gradient, 0.1);
      second[j].mul_(0.99).addcmul_(gradient, gradient, 0.01);
      weights[j].addcdiv_(first[j], second[j].sqrt().add_(1e-8), -0.01);
    }
  }
  return left;
}

struct Pairs {
  Tensor keys, values;  // [streams, 1, 32, 16]
};

constexpr int64_t kMemoryPairs = 32, kMemoryAsked = 16, kMemoryWidth = 16;

// Keys whose common part has this share of their squared norm.
Pairs draw_pairs(int64_t streams, double shared, at::Generator draws) {
  const auto own = unit_rows(random({streams, 1, kMemoryPairs, kMemoryWidth}, draws));
  const auto common = unit_rows(random({streams, 1, 1, kMemoryWidth}, draws));
  return {unit_rows(own * std::sqrt(1 - shared) + common * std::sqrt(shared)),
          unit_rows(random({streams, 1, kMemoryPairs, kMemoryWidth}, draws))};
}

struct Written {
  double recall = 0, window_loss = 0;
};

Written write_pairs(const Memory& memory, const Pairs& pairs, double rate) {
  const auto numbers = at::ones({pairs.keys.size(0), 1, kMemoryPairs}, at::kDouble);
  InnerTokens tokens{pairs.keys, pairs.keys, pairs.values, numbers, numbers * 0, {}, numbers * rate, {}};
  if (memory.parts.optimizer->keeps_momentum()) tokens.momentum = numbers * std::log(0.9);
  auto state = fresh_state(memory.parts.loop, pairs.keys.size(0), 1, kMemoryWidth, at::kDouble);
  Context ctx;
  run_inner_loop(ctx, memory.parts.loop, tokens, state);
  const int64_t first = kMemoryPairs - kMemoryAsked;
  const auto answers = times(state.weights[0], memory.features(pairs.keys)).narrow(2, first, kMemoryAsked);
  const auto nearest = at::cdist(answers, pairs.values).argmin(-1);
  const auto right = nearest.eq(at::arange(first, kMemoryPairs, at::kLong));
  const auto losses = (answers - pairs.values.narrow(2, first, kMemoryAsked)).square().sum(-1);
  return {right.to(at::kDouble).mean().item<double>(), losses.mean().item<double>()};
}

// The best of the rates, by recall or by loss.
Written best_of_rates(const Json& options, const Pairs& pairs) {
  const Memory memory(options, kMemoryWidth, kMemoryWidth);
  Written best{0, 1e300};
  for (const double rate : {1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01}) {
    try {
      const auto found = write_pairs(memory, pairs, rate);
      best.recall = std::max(best.recall, found.recall);
      best.window_loss = std::min(best.window_loss, found.window_loss);
    } catch (const Error&) {  // this rate is not stable
    }
  }
  return best;
}

}  // namespace

Json memory_capacity(uint64_t seed) {
  const at::NoGradGuard guard;
  auto draws = make_stream(seed, "atlas.pairs");
  Json found;
  for (const auto& [name, features, pairs] :
       {std::tuple{"identity", "identity", 8}, {"degree 2", "poly", 44}}) {
    found[fmt::format("{} at", name)] = least_squares_error(features, pairs, draws);
    found[fmt::format("{} above", name)] = least_squares_error(features, pairs + 1, draws);
  }
  for (const int64_t hidden : {8, 16, 32})
    found[fmt::format("mlp2 {}", hidden)] = fitted_error(hidden, draws);
  return found;
}

Json recall_without_training(uint64_t seed, int64_t streams) {
  const at::NoGradGuard guard;
  auto draws = make_stream(seed, "atlas.pairs");
  const auto free = draw_pairs(streams, 0, draws), shared = draw_pairs(streams, 0.5, draws);
  Json found;
  for (const auto& [name, pairs] : {std::pair{"free", free}, {"shared", shared}}) {
    found[fmt::format("delta {}", name)] = best_of_rates(matrix_memory("identity", 1), pairs).recall;
    found[fmt::format("omega {}", name)] = best_of_rates(matrix_memory("identity", 16), pairs).recall;
    found[fmt::format("degree 2 {}", name)] = best_of_rates(matrix_memory("poly", 1), pairs).recall;
    found[fmt::format("omega degree 2 {}", name)] = best_of_rates(matrix_memory("poly", 16), pairs).recall;
  }
  found["descent loss"] = best_of_rates(matrix_memory("identity", 16), free).window_loss;
  found["muon loss"] = best_of_rates(matrix_memory("identity", 16, "muon"), free).window_loss;
  return found;
}

}  // namespace formwork
