// Token mixers with fast weights: what the conformance suites do not see.
#include "formwork/mixers/fast_weights/fast_weights.h"

#include <gtest/gtest.h>

#include "formwork/mixers/recurrent/recurrent_state.h"
#include "mixer_alone.h"

namespace formwork {
namespace {

const char* const kMembers[] = {"dla", "swla",  "omeganet",       "deeptransformer",
                                "dot", "atlas", "atlas_plus_plus"};

std::string member(const std::string& name, const std::string& more = R"("window": 3, "chunk": 4)") {
  return R"({"type": ")" + name + R"(", "heads": 2, )" + more + "}";
}

const char* const kDelta =
    R"({"type": "omeganet", "heads": 2, "key_width": 3, "value_width": 4, "window": 3, "chunk": 1,
        "d_conv": 2, "memory": "matrix", "features": "identity"})";

// The whole mixer from its parameters, token by token.
TEST(FastWeights, AreTheirFormula) {
  at::manual_seed(1);
  const at::NoGradGuard guard;
  MixerAlone alone(kDelta, 6);
  for (auto& param : alone.inventory->params) param.value.add_(at::randn_like(param.value) * 0.3);
  const auto x = at::randn({9, 6}, at::kDouble);
  const auto raw = at::cat({at::zeros({1, 20}, at::kDouble), x.matmul(alone.value("qkv.weight").t())});
  const auto rates = (x.matmul(alone.value("rates.weight").t()) + alone.value("rates.bias")).sigmoid();
  const auto gate = at::silu(x.matmul(alone.value("gate.weight").t()));
  const auto filters = alone.value("conv.weight");
  std::vector<Tensor> rows, keys, values;
  auto m = at::zeros({2, 4, 3}, at::kDouble);
  for (int64_t t = 0; t < 9; ++t) {
    const auto mixed = raw[t] * filters.select(1, 0) + raw[t + 1] * filters.select(1, 1);
    const auto q = mixed.narrow(0, 0, 6).view({2, 3}), k = mixed.narrow(0, 6, 6).view({2, 3});
    keys.push_back(k / k.norm(2, 1, true)), values.push_back(mixed.narrow(0, 12, 8).view({2, 4}));
    std::vector<Tensor> read;
    for (int64_t h = 0; h < 2; ++h) {
      auto gradient = at::zeros({4, 3}, at::kDouble);
      for (int64_t i = std::max<int64_t>(0, t - 2); i <= t; ++i) {
        const auto key = keys[static_cast<size_t>(i)][h], value = values[static_cast<size_t>(i)][h];
        gradient = gradient + rates[i][4 + h] * (m[h].matmul(key) - value).outer(key);
      }
      m[h].copy_(rates[t][h] * m[h] - rates[t][2 + h] * gradient);
      const auto y = m[h].matmul(q[h] / q[h].norm());
      read.push_back(y / (y.square().mean() + 1e-5).sqrt());
    }
    rows.push_back(at::cat(read) * alone.value("read_norm.weight") * gate[t]);
  }
  const auto expected = at::stack(rows).matmul(alone.value("out.weight").t());
  EXPECT_LT(distance(alone.forward(x.unsqueeze(0))[0], expected), 1e-10);
}

TEST(FastWeights, AppendsEqualForward) {
  at::manual_seed(2);
  const at::NoGradGuard guard;
  for (const char* name : kMembers)
    for (const char* sizes :
         {R"("window": 3, "chunk": 4)", R"("window": 6, "chunk": 4)", R"("window": 2, "chunk": 1)"}) {
      MixerAlone alone(member(name, sizes), 6);
      const auto x = at::randn({2, 13, 6}, at::kDouble);
      const auto whole = alone.forward(x);
      EXPECT_LT(distance(alone.in_pieces(x, {2, 1, 6, 1, 3}), whole), 1e-10) << name;
      EXPECT_LT(distance(alone.in_pieces(x, std::vector<int64_t>(13, 1)), whole), 1e-10) << name;
    }
}

// Rows at different places in their chunks.
TEST(FastWeights, StatesKeepLengthsRollBackAndFork) {
  at::manual_seed(3);
  const at::NoGradGuard guard;
  for (const char* name : kMembers) {
    MixerAlone alone(member(name), 6);
    const auto x = at::randn({2, 7, 6}, at::kDouble), more = at::randn({2, 6, 6}, at::kDouble);
    Layout layout;
    layout.lengths = at::tensor({7, 2}, at::kLong);
    auto state = alone.state(2, 2);
    alone.append(x, *state, &layout);
    const auto next = alone.append(more, *state);
    for (int64_t row = 0; row < 2; ++row) {
      const int64_t length = layout.lengths[row].item<int64_t>();
      const auto whole = at::cat({x[row].narrow(0, 0, length), more[row]}).unsqueeze(0);
      EXPECT_LT(distance(next[row], alone.forward(whole)[0].narrow(0, length, 6)), 1e-10) << name;
    }
    const auto rows = at::tensor({1, 1, 0}, at::kLong);
    const auto copy = state->fork(rows);
    const auto y = alone.append(more, *state);
    state->roll_back(2);
    EXPECT_LT(distance(alone.append(more, *state), next), 1e-12) << name;
    EXPECT_LT(distance(alone.append(more.index_select(0, rows), *copy), y.index_select(0, rows)), 1e-12)
        << name;
  }
}

TEST(FastWeights, StatesDoNotGrowExceptWithKernelFeatures) {
  const at::NoGradGuard guard;
  for (const std::string name : kMembers) {
    MixerAlone alone(member(name), 6);
    auto state = alone.state(2);
    const auto before = state->bytes();
    alone.append(at::randn({2, 40, 6}, at::kDouble), *state);
    if (name == "deeptransformer" || name == "dot")
      EXPECT_GT(state->bytes(), before) << name;
    else
      EXPECT_EQ(state->bytes(), before) << name;
    const auto& held = static_cast<RecurrentState&>(*state);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(held.value(i).storage().nbytes(), held.value(i).nbytes()) << i;
  }
  // Convolution inputs; M, anchor and S of two weights; two tokens of phi(k), v and g; tokens seen.
  MixerAlone alone(member("atlas"), 6);
  const int64_t features = 3 + 6, hidden = 6,
                numbers = 4 * 18 + 3 * 2 * (hidden * features + 3 * hidden) + 2 * 2 * (features + 3 + 1) + 1;
  EXPECT_EQ(alone.state(1)->bytes(), numbers * 8);
}

// Learning is not a matter of autograd or of training.
TEST(FastWeights, LearnInEvaluationToo) {
  at::manual_seed(4);
  for (const char* name : kMembers) {
    MixerAlone alone(member(name), 6);
    const auto x = at::randn({1, 9, 6}, at::kDouble);
    Context training;
    training.mode.train = true;
    const auto y = alone.mixer->forward(training, x).detach();
    const at::NoGradGuard guard;
    EXPECT_EQ(distance(alone.forward(x), y), 0) << name;
  }
}

// Without updates a token's output depends on what the convolution sees of its query alone.
TEST(FastWeights, StopLearningOnlyWhenTold) {
  at::manual_seed(5);
  const at::NoGradGuard guard;
  for (const std::string name : {"atlas", "atlas_plus_plus", "deeptransformer"}) {
    MixerAlone learns(member(name), 6);
    MixerAlone frozen(member(name, R"("window": 3, "chunk": 4, "updates": false)"), 6);
    const auto x = at::randn({1, 12, 6}, at::kDouble);
    auto other = x.clone();
    other.narrow(1, 0, 5).normal_();
    const auto last = [](const Tensor& y) { return y.narrow(1, 11, 1); };
    EXPECT_EQ(distance(last(frozen.forward(x)), last(frozen.forward(other))), 0) << name;
    EXPECT_GT(distance(last(learns.forward(x)), last(learns.forward(other))), 1e-6) << name;
    Context ctx;
    ctx.choices["inner_updates"] = 0;
    EXPECT_EQ(distance(learns.mixer->forward(ctx, x), frozen.forward(x)), 0) << name;
    EXPECT_LT(distance(frozen.in_pieces(x, {3, 1, 8}), frozen.forward(x)), 1e-12) << name;
  }
}

TEST(FastWeights, HaveSecondDerivatives) {
  at::manual_seed(6);
  MixerAlone alone(member("atlas"), 6);
  const auto x = at::randn({1, 5, 6}, at::kDouble).requires_grad_();
  Context ctx;
  ctx.mode.twice_differentiable = true;
  const auto y = alone.mixer->forward(ctx, x);
  const auto g = torch::autograd::grad({y.square().sum()}, {x}, {}, true, true)[0];
  EXPECT_GT(torch::autograd::grad({g.square().sum()}, {x})[0].abs().sum().item<double>(), 0);
}

// Long rows of random tokens at the start of training: no member runs away, in whatever chunks.
TEST(FastWeights, StayFiniteAtTheStart) {
  at::manual_seed(7);
  const at::NoGradGuard guard;
  for (const char* name : kMembers)
    for (const char* sizes : {R"("chunk": 64)", R"("chunk": 1)", R"("chunk": 64, "window": 1)"}) {
      MixerAlone alone(member(name, sizes), 32, at::kFloat);
      EXPECT_NO_THROW(alone.forward(at::randn({1, 300, 32}))) << name << " " << sizes;
    }
  MixerAlone half(member("atlas"), 16, at::kBFloat16);
  EXPECT_TRUE(half.forward(at::randn({1, 20, 16}, at::kBFloat16)).isfinite().all().item<bool>());
}

TEST(FastWeights, RatesStartWhereTheOptionsSay) {
  MixerAlone alone(member("atlas", R"("rate_start": 0.2)"), 8);
  const auto starts = alone.value("rates.bias").view({4, 2}).sigmoid();
  EXPECT_NEAR(starts[0][0].item<double>(), 0.982, 1e-3);
  EXPECT_NEAR(starts[1][1].item<double>(), 0.2, 1e-12);
  EXPECT_NEAR(starts[2][0].item<double>(), 0.9, 1e-3);
  EXPECT_NEAR(starts[3][0].item<double>(), 0.5, 1e-12);
  EXPECT_EQ(MixerAlone(member("dla"), 8).value("rates.bias").numel(), 3 * 2);  // alpha, eta, g of window 3
}

// The message of the error that building a mixer of width 6 ends in; empty where there is none.
std::string refusal(const std::string& options, int64_t width = 6) {
  try {
    MixerAlone(R"({"type": "atlas", )" + options + "}", width);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(FastWeights, ErrorsNameWhatWasExpectedAndFound) {
  const auto says = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(says(refusal(R"("window": 0)"), "window")) << refusal(R"("window": 0)");
  EXPECT_TRUE(says(refusal(R"("chunk": 0)"), "chunk")) << refusal(R"("chunk": 0)");
  EXPECT_TRUE(says(refusal(R"("heads": 4)"), "width 6 is not divisible by 4 heads"))
      << refusal(R"("heads": 4)");
  const auto features = refusal(R"("heads": 1)", 100);
  EXPECT_TRUE(says(features, "mixer.features: 5150 features") && says(features, "4096")) << features;
  const auto nearest = refusal(R"("heads": 2, "memory": "mlp")");
  EXPECT_TRUE(says(nearest, "mlp2")) << nearest;
  MixerAlone alone(member("atlas"), 6);
  EXPECT_THROW(alone.forward(at::zeros({2, 0, 6}, at::kDouble)), Error);
  const auto state = alone.state(3);
  EXPECT_THROW(alone.append(at::zeros({2, 1, 6}, at::kDouble), *state), Error);
}

}  // namespace
}  // namespace formwork
