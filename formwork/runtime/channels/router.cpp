#include "formwork/runtime/channels/router.h"

#include <algorithm>
#include <cmath>

#include "formwork/kernels/cpu/elementwise.h"

namespace formwork::runtime {
namespace {

double length_of(const float* x, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += static_cast<double>(x[i]) * x[i];
  return std::max(std::sqrt(sum), 1e-12);
}

// factor / |row| for each row of a map.
std::vector<float> inverse_lengths(const LinearMap& map, double factor) {
  Arena arena(1);
  Pass pass{arena};
  std::vector<float> row(static_cast<size_t>(map.inputs())), scales;
  map.rows(pass, nullptr, 0, row.data());
  arena.allocate();
  for (int64_t o = 0; o < map.outputs(); ++o) {
    map.rows(pass, &o, 1, row.data());
    scales.push_back(static_cast<float>(factor / length_of(row.data(), map.inputs())));
  }
  return scales;
}

}  // namespace

Router::Router(const Scope& scope, const Axis& modules, const RouterOptions& options)
    : options_(options), count_(modules.size) {
  if (options.active > count_)
    fail("{}: expected 1 to {} active modules, as many as there are, found {}", scope.path(), count_,
         options.active);
  Dim in = scope.in;
  if (options.gate != "linear") {
    const Axis hidden = scope.axis("router_hidden", options.hidden);
    hidden_ = hidden.size;
    inner_ = make_linear(scope, "router_inner", {scope.in, hidden, options.gate == "mlp"});
    in = hidden;
  }
  if (options.gate == "gmm") temperature_ = *scope.floats("router_temperature", {1});
  router_ = make_rows(scope, "router", in, modules);
  if (!scope.spec().axes.contains(scope.name(kRemovedModules))) return;
  const Axis removed = scope.axis(kRemovedModules, 0);
  removed_count_ = removed.size;
  removed_ = make_rows(scope, kRemovedRows, in, removed);
}

Router::Rows Router::make_rows(const Scope& scope, const std::string& name, const Dim& in,
                               const Axis& modules) const {
  Rows rows{make_linear(scope, name, {in, modules}), {}};
  if (options_.gate == "gmm") rows.scales = inverse_lengths(*rows.map, std::exp(temperature_));
  return rows;
}

In Router::hidden(Pass& pass, In x, float* raw, float* hidden) const {
  if (!inner_) return x;
  inner_->run(pass, pass.rows, x, {raw, hidden_});
  if (options_.gate == "mlp") {
    elementwise(Elementwise::gelu, pass.rows, hidden_, raw, nullptr, hidden_, hidden);
    return {hidden, hidden_};
  }
  for (int64_t r = 0; r < pass.rows; ++r) {
    const auto scale = static_cast<float>(1 / length_of(raw + r * hidden_, hidden_));
    for (int64_t i = 0; i < hidden_; ++i) hidden[r * hidden_ + i] = raw[r * hidden_ + i] * scale;
  }
  return {hidden, hidden_};
}

void Router::logits(Pass& pass, const Rows& rows, In x, float* y) const {
  const int64_t count = rows.map->outputs();
  rows.map->run(pass, pass.rows, x, {y, count});
  if (rows.scales.empty()) return;
  for (int64_t r = 0; r < pass.rows; ++r)
    for (int64_t e = 0; e < count; ++e) y[r * count + e] *= rows.scales[static_cast<size_t>(e)];
}

// Of one token: logits [n] become probabilities, of which the k largest are taken out.
void Router::choose_row(float* probabilities, const float* removed, int32_t* modules, float* gates) const {
  float most = *std::max_element(probabilities, probabilities + count_);
  if (removed_count_ > 0) most = std::max(most, *std::max_element(removed, removed + removed_count_));
  float sum = 0, chosen = 0;
  for (int64_t e = 0; e < count_; ++e) sum += probabilities[e] = std::exp(probabilities[e] - most);
  for (int64_t e = 0; e < removed_count_; ++e) sum += std::exp(removed[e] - most);
  for (int64_t j = 0; j < options_.active; ++j) {
    const auto* best = std::max_element(probabilities, probabilities + count_);
    modules[j] = static_cast<int32_t>(best - probabilities);
    gates[j] = *best / sum;
    chosen += gates[j];
    probabilities[modules[j]] = -1;  // below all that are left
  }
  if (options_.renormalize)
    for (int64_t j = 0; j < options_.active; ++j) gates[j] /= chosen;
}

void Router::choose(Pass& pass, In x, float* probabilities, int32_t* modules, float* gates) const {
  const Arena::Frame frame(pass.arena);
  float *raw = pass.arena.take(hidden_), *inside = pass.arena.take(hidden_),
        *removed = pass.arena.take(removed_count_);
  const In from = hidden(pass, x, raw, inside);
  logits(pass, router_, from, probabilities);
  if (removed_count_ > 0) logits(pass, removed_, from, removed);
  const int64_t k = options_.active;
  for (int64_t r = 0; r < pass.rows; ++r)
    choose_row(probabilities + r * count_, removed + r * removed_count_, modules + r * k, gates + r * k);
}

}  // namespace formwork::runtime
