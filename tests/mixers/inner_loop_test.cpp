// The inner loop of memories that learn while they read, against the recurrence token by token.
#include <gtest/gtest.h>

#include "inner_loop_alone.h"

namespace formwork {
namespace {

// S = U diag(s) V^T -> U diag(p(s / (|s| + 1e-7))) V^T, p five times the polynomial of Newton-Schulz.
Tensor orthogonal_by_svd(const Tensor& x) {
  const auto [u, s, vh] = at::linalg_svd(x, false);
  auto y = s / (s.norm() + 1e-7);
  for (int i = 0; i < 5; ++i) y = 3.4445 * y - 4.7750 * y.pow(3) + 2.0315 * y.pow(5);
  return (u * y).matmul(vh);
}

// phi*(x) of x [.., 2], [x, 1, x^(2) / sqrt(2!), ..] up to degree 16, whose rest is below 1e-14.
Tensor long_series(const Tensor& x) {
  const auto a = x.select(-1, 0), b = x.select(-1, 1);
  std::vector<Tensor> columns = {a, b, at::ones_like(a)};
  for (int degree = 2; degree <= 16; ++degree)
    for (int j = 0; j <= degree; ++j) {
      // binomial(degree, j) / degree!
      const double square = std::exp(-std::lgamma(j + 1.0) - std::lgamma(degree - j + 1.0));
      columns.push_back(a.pow(degree - j) * b.pow(j) * std::sqrt(square));
    }
  return at::stack(columns, -1);
}

// One head of one sequence as the paper writes it, with gradients by autograd at the start of each chunk.
struct Sequential {
  std::string memory, optimizer;
  bool hebbian;
  int64_t window, chunk;

  Tensor output(const std::vector<Tensor>& w, const Tensor& phi) const {  // phi [n, F]
    const auto product = [&](size_t j, const Tensor& x) { return x.matmul(w[j].t()); };
    if (memory == "matrix") return product(0, phi);
    const int64_t values = w.back().size(0), first = std::min(values, skip_features);
    auto skip = at::zeros({phi.size(0), values}, at::kDouble);
    skip.narrow(1, 0, first).copy_(phi.narrow(1, 0, first));
    if (memory == "mlp2") return skip + product(1, at::gelu(product(0, phi)));
    return skip + product(2, at::silu(product(0, phi)) * product(1, phi));
  }
  Tensor objective(const std::vector<Tensor>& w, const Tensor& phi, const Tensor& v, const Tensor& g,
                   int64_t t) const {
    const int64_t first = std::max<int64_t>(0, t - window + 1), count = t + 1 - first;
    const auto y = output(w, phi.narrow(0, first, count)), values = v.narrow(0, first, count);
    const auto losses = hebbian ? -(y * values).sum(1) : (y - values).square().sum(1) / 2;
    return (losses * g.narrow(0, first, count)).sum();
  }
  // y [T, dv]; `w` becomes the last weights.
  Tensor run(std::vector<Tensor>& w, const Tensor& queries, const Tensor& keys, const InnerTokens& tokens,
             int64_t b, int64_t h) const {
    const auto of = [&](const Tensor& x) { return x.defined() ? x[b][h] : x; };
    std::vector<Tensor> momenta, anchors, rows;
    for (const auto& weight : w) momenta.push_back(at::zeros_like(weight));
    for (int64_t t = 0; t < keys.size(0); ++t) {
      if (t % chunk == 0) {
        anchors.clear();
        for (const auto& weight : w) anchors.push_back(weight.detach().clone().requires_grad_());
      }
      const auto gradients =
          torch::autograd::grad({objective(anchors, keys, of(tokens.values), of(tokens.gates), t)}, anchors);
      for (size_t j = 0; j < w.size(); ++j) {
        auto step = gradients[j];
        if (optimizer != "gd") step = momenta[j] = of(tokens.momentum)[t].exp() * momenta[j] + step;
        if (optimizer == "muon") step = orthogonal_by_svd(step);
        w[j] = of(tokens.decay)[t].exp() * w[j] - of(tokens.rate)[t] * step;
      }
      rows.push_back(output(w, queries.narrow(0, t, 1))[0]);
    }
    return at::stack(rows);
  }
  int64_t skip_features;
};

// The greatest difference, over all sequences and heads, in outputs and last weights.
double distance_to_sequential(const Json& options, const LoopSize& size) {
  LoopAlone alone(options.dump(), size);
  const auto tokens = random_tokens(size);
  auto state = alone.fresh();
  const auto y = alone.run(tokens, state);
  const bool series = options["features"] == "exp";
  Context ctx;
  const auto initial = alone.parts.memory->initial(ctx, at::kDouble);
  double worst = 0;
  for (int64_t b = 0; b < size.batch; ++b)
    for (int64_t h = 0; h < size.heads; ++h) {
      const auto features = [&](const Tensor& x) {
        return series ? long_series(x[b][h]) : alone.features(x)[b][h];
      };
      const auto queries = features(tokens.queries), keys = features(tokens.keys);
      std::vector<Tensor> w;
      for (size_t j = 0; j < initial.size(); ++j) {
        const bool reads = j < alone.parts.memory->readers();
        w.push_back(reads ? at::constant_pad_nd(initial[j][h], {0, keys.size(1) - initial[j].size(-1)})
                          : initial[j][h].clone());
      }
      const Sequential sequential{options["memory"], options["optimizer"], options["loss"] == "hebbian",
                                  options["window"], options["chunk"],     series ? size.keys : keys.size(1)};
      worst = std::max(worst, distance(y[b][h], sequential.run(w, queries, keys, tokens, b, h)));
      for (size_t j = 0; j < w.size(); ++j)
        if (!series || j >= alone.parts.memory->readers())
          worst = std::max(worst, distance(state.weights[j][b][h], w[j]));
    }
  return worst;
}

Json options_of(const char* memory, const char* features, const char* optimizer, const char* loss,
                int64_t window, int64_t chunk) {
  return {{"memory", memory}, {"features", features}, {"optimizer", optimizer},
          {"loss", loss},     {"window", window},     {"chunk", chunk}};
}

class EveryLoop
    : public testing::TestWithParam<std::tuple<const char*, const char*, const char*, const char*>> {};

// b = 1 is the recurrence itself; for other b the reference freezes gradients at chunk starts as well. 11
// tokens are no multiple of a chunk, and windows reach over one.
TEST_P(EveryLoop, IsTheRecurrenceTokenByToken) {
  at::manual_seed(1);
  const auto [memory, features, optimizer, loss] = GetParam();
  for (const auto& [window, chunk] : {std::pair<int64_t, int64_t>{1, 1}, {3, 1}, {4, 8}, {6, 4}})
    EXPECT_LT(distance_to_sequential(options_of(memory, features, optimizer, loss, window, chunk),
                                     {1, 2, 11, 2, 3}),
              1e-9)
        << "window " << window << ", chunk " << chunk;
}

INSTANTIATE_TEST_SUITE_P(Parts, EveryLoop,
                         testing::Combine(testing::Values("matrix", "mlp2", "gated"),
                                          testing::Values("identity", "poly", "exp"),
                                          testing::Values("gd", "momentum", "muon"),
                                          testing::Values("regression", "hebbian")));

TEST(InnerLoop, OfOneTokenIsTheDeltaRule) {
  at::manual_seed(2);
  const LoopSize size{2, 2, 20, 4, 5};
  LoopAlone alone(options_of("matrix", "identity", "gd", "regression", 1, 1).dump(), size);
  const auto random = random_tokens(size);
  for (const double alpha : {1.0, 0.9}) {
    const double eta = 0.7;
    const auto tokens = with_rates(random, alpha, eta);
    auto state = alone.fresh();
    alone.run(tokens, state);
    auto m = at::zeros({2, 2, 5, 4}, at::kDouble), gated_delta = m;
    for (int64_t t = 0; t < size.tokens; ++t) {
      const auto k = tokens.keys.select(2, t).unsqueeze(-1), v = tokens.values.select(2, t).unsqueeze(-1);
      const auto square = k.matmul(k.transpose(-2, -1)), unit = at::eye(4, at::kDouble);
      m = m.matmul(alpha * unit - eta * square) + eta * v.matmul(k.transpose(-2, -1));
      gated_delta = gated_delta.matmul(alpha * (unit - eta * square)) + eta * v.matmul(k.transpose(-2, -1));
    }
    EXPECT_LT(distance(state.weights[0], m), 1e-10);
    // Gated DeltaNet decays before it erases: the same without decay, and not otherwise.
    if (alpha == 1)
      EXPECT_LT(distance(m, gated_delta), 1e-10);
    else
      EXPECT_GT(distance(m, gated_delta), 1e-2);
  }
}

TEST(InnerLoop, HebbianMatrixIsLinearAttention) {
  at::manual_seed(3);
  const LoopSize size{2, 2, 13, 4, 5};
  const auto tokens = with_rates(random_tokens(size), 1, 1);
  for (const int64_t chunk : {1, 8}) {
    LoopAlone alone(options_of("matrix", "identity", "gd", "hebbian", 1, chunk).dump(), size);
    const auto weights = tokens.queries.matmul(tokens.keys.transpose(-2, -1)).tril();
    EXPECT_LT(distance(alone.run(tokens), weights.matmul(tokens.values)), 1e-10);
  }
}

// With the exponential kernel it is softmax attention but for the divisor, which a value of ones gives.
TEST(InnerLoop, HebbianMatrixWithExponentialFeaturesIsSoftmaxAttention) {
  at::manual_seed(4);
  const LoopSize size{2, 2, 13, 4, 6};
  auto tokens = with_rates(random_tokens(size), 1, 1);
  tokens.queries = tokens.queries * 2.5;  // of any norm
  tokens.values.select(-1, 5).fill_(1);
  for (const int64_t chunk : {1, 8}) {
    LoopAlone alone(options_of("matrix", "exp", "gd", "hebbian", 1, chunk).dump(), size);
    const auto y = alone.run(tokens);
    const auto logits = tokens.queries.matmul(tokens.keys.transpose(-2, -1));
    EXPECT_LT(distance(y, logits.exp().tril().matmul(tokens.values)), 1e-8);
    const auto masked = logits.masked_fill(at::ones({13, 13}, at::kBool).triu(1), -INFINITY);
    const auto softmax = masked.softmax(-1).matmul(tokens.values);
    EXPECT_LT(distance(y / y.narrow(-1, 5, 1), softmax), 1e-6);
  }
}

// A window as long as the row is least squares' gradient over the whole past.
TEST(InnerLoop, LongWindowIsRegressionOverThePast) {
  at::manual_seed(5);
  const LoopSize size{1, 1, 9, 3, 2};
  LoopAlone alone(options_of("matrix", "identity", "gd", "regression", 9, 1).dump(), size);
  const auto tokens = with_rates(random_tokens(size), 1, 0.1);
  auto state = alone.fresh();
  alone.run(tokens, state);
  auto m = at::zeros({2, 3}, at::kDouble);
  for (int64_t t = 1; t <= size.tokens; ++t) {
    const auto k = tokens.keys[0][0].narrow(0, 0, t), v = tokens.values[0][0].narrow(0, 0, t);
    m = m - 0.1 * (k.matmul(m.t()) - v).t().matmul(k);
  }
  EXPECT_LT(distance(state.weights[0][0][0], m), 1e-12);
}

// As gradient_error, by differences of fourth order: Newton-Schulz bends sharply where a momentum is small.
double sharp_gradient_error(const std::vector<Tensor>& inputs, const std::function<Tensor()>& loss) {
  const auto gradients = torch::autograd::grad({loss()}, inputs);
  const at::NoGradGuard guard;
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto direction = at::randn_like(inputs[i]), before = inputs[i].clone();
    const auto difference = [&](double step) {
      inputs[i].copy_(before + step * direction);
      const double up = loss().item<double>();
      inputs[i].copy_(before - step * direction);
      return (up - loss().item<double>()) / (2 * step);
    };
    const double slope = (4 * difference(2e-6) - difference(4e-6)) / 3;
    inputs[i].copy_(before);
    const double found = (gradients[i] * direction).sum().item<double>();
    worst = std::max(worst, std::abs(slope - found) / std::max(1e-2, std::abs(slope)));
  }
  return worst;
}

TEST(InnerLoop, OuterGradientsEqualFiniteDifferences) {
  at::manual_seed(6);
  const LoopSize size{2, 2, 8, 3, 3};
  for (const int64_t chunk : {1, 3})
    for (const char* memory : {"mlp2", "gated", "matrix"})
      for (const char* features : {"poly", "exp"}) {
        LoopAlone alone(options_of(memory, features, "muon", "regression", 3, chunk).dump(), size);
        auto tokens = random_tokens(size);
        auto inputs = alone.parameters();
        for (auto* x : {&tokens.queries, &tokens.keys, &tokens.values, &tokens.gates, &tokens.decay,
                        &tokens.momentum, &tokens.rate})
          inputs.push_back(x->set_requires_grad(true));
        const auto weight = at::randn({2, 2, 8, 3}, at::kDouble);
        EXPECT_LT(sharp_gradient_error(inputs, [&] { return (alone.run(tokens) * weight).sum(); }), 1e-5)
            << memory << " " << features << " " << chunk;
      }
}

TEST(InnerLoop, SequencesOfABatchDoNotShareTheirMemory) {
  at::manual_seed(7);
  const LoopSize size{3, 2, 9, 3, 3};
  LoopAlone alone(options_of("mlp2", "poly", "muon", "regression", 3, 4).dump(), size);
  const auto tokens = random_tokens(size);
  auto other = tokens;
  other.values = tokens.values.clone();
  other.values[1].normal_();
  const auto y = alone.run(tokens), changed = alone.run(other);
  EXPECT_EQ(distance(y[0], changed[0]), 0);
  EXPECT_EQ(distance(y[2], changed[2]), 0);
  EXPECT_GT(distance(y[1], changed[1]), 1e-3);
}

TEST(InnerLoop, NamesTheStepWhereItsLossIsNotFinite) {
  at::manual_seed(8);
  const LoopSize size{2, 1, 9, 3, 3};
  LoopAlone alone(options_of("matrix", "identity", "gd", "regression", 2, 4).dump(), size);
  auto tokens = random_tokens(size);
  tokens.values[1][0][5] = std::numeric_limits<double>::quiet_NaN();
  try {
    alone.run(tokens);
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("mixer: the inner loss is not finite at inner step 6 (row 1, head 0)"),
              std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace formwork
