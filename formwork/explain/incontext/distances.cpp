#include "formwork/explain/incontext/distances.h"

#include "formwork/data/random.h"

namespace formwork {

Predictor predictor_of(Model& model) {
  return [&model](const Examples& known, const Tensor& asked) {
    const at::NoGradGuard guard;
    const auto dtype = model.inventory().dtype;
    const int64_t rows = asked.size(0), each = asked.size(1), n = known.known();
    auto ctx = model.make_context();
    StateOptions options;
    options.batch = n > 0 ? rows : rows * each, options.dtype = dtype;
    auto state = model.make_state(ctx, {}, options);
    if (n > 0) {
      model.append(ctx, {{"input_features", interleave(known).to(dtype)}}, state);
      state = state.fork(at::arange(rows, at::kLong).repeat_interleave(each));
    }
    const Examples question{
        asked.reshape({rows * each, 1, -1}), at::empty({rows * each, 0}, asked.options()), {}};
    const auto out = model.append(ctx, {{"input_features", interleave(question).to(dtype)}}, state);
    return out.at("predictions").select(2, 0).to(at::kDouble).view({rows, each});
  };
}

double squared_prediction_difference(const Tensor& a, const Tensor& b) {
  return (a - b).square().mean().item<double>();
}

ImplicitWeights implicit_weights(const Tensor& probes, const Tensor& predictions) {
  const int64_t m = probes.size(1), d = probes.size(2);
  if (m < d) fail("implicit weights: expected at least d = {} probes, found {}", d, m);
  ImplicitWeights found;
  found.w = at::linalg_pinv(probes).matmul(predictions.unsqueeze(-1)).squeeze(-1);
  const auto left = predictions - probes.matmul(found.w.unsqueeze(-1)).squeeze(-1);
  const auto spread = predictions - predictions.mean(1, true);
  const double all = spread.square().sum().item<double>();
  found.r2 = all > 0 ? 1 - left.square().sum().item<double>() / all : 1;
  return found;
}

double implicit_weight_distance(const Tensor& a, const Tensor& b) {
  return (a - b).square().sum(-1).mean().item<double>();
}

Tensor fresh_probes(int64_t rows, int64_t probes, int64_t d, uint64_t seed) {
  auto x = at::empty({rows, probes, d}, at::kDouble);
  Random random{seed, 0x9e0be5ULL};
  double* values = x.mutable_data_ptr<double>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = random.normal();
  return x;
}

}  // namespace formwork
