#include "formwork/mixers/recurrent/mamba2.h"

#include <gtest/gtest.h>

#include "mixer_alone.h"

namespace formwork {
namespace {

struct ScanSize {
  int64_t batch, tokens, groups, heads, width, states;  // heads of a group
};

DualScan random_dual_scan(const ScanSize& n) {
  const auto random = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  const int64_t heads = n.groups * n.heads;
  DualScan s;
  s.delta = s.gain = at::rand({n.batch, n.tokens, heads}, at::kDouble) * 0.6;
  s.A = -at::rand({heads}, at::kDouble) * 3 - 0.1;
  s.B = random({n.batch, n.tokens, n.groups, n.states}),
  s.C = random({n.batch, n.tokens, n.groups, n.states});
  s.x = random({n.batch, n.tokens, heads, n.width});
  s.D = random({heads}), s.h0 = random({n.batch, heads, n.width, n.states});
  return s;
}

std::vector<Tensor> tensors(const DualScan& s) { return {s.delta, s.A, s.B, s.C, s.x, s.D, s.h0}; }

// The recurrence as it is written, number by number.
std::pair<Tensor, Tensor> number_by_number(const DualScan& s) {
  auto h = s.h0.clone(), y = at::zeros_like(s.x);
  const int64_t in_group = s.x.size(2) / s.B.size(2);
  const auto delta = s.delta.accessor<double, 3>();
  const auto b = s.B.accessor<double, 4>(), c = s.C.accessor<double, 4>(), x = s.x.accessor<double, 4>();
  auto state = h.accessor<double, 4>(), out = y.accessor<double, 4>();
  for (int64_t row = 0; row < x.size(0); ++row)
    for (int64_t t = 0; t < x.size(1); ++t)
      for (int64_t head = 0; head < x.size(2); ++head)
        for (int64_t p = 0; p < x.size(3); ++p) {
          const double step = delta[row][t][head], input = x[row][t][head][p];
          double sum = s.D[head].item<double>() * input;
          for (int64_t n = 0; n < b.size(3); ++n) {
            double& value = state[row][head][p][n];
            value = std::exp(step * s.A[head].item<double>()) * value +
                    step * input * b[row][t][head / in_group][n];
            sum += value * c[row][t][head / in_group][n];
          }
          out[row][t][head][p] = sum;
        }
  return {y, h};
}

TEST(DualScan, ChunksStepsAndNumbersAgree) {
  at::manual_seed(1);
  for (const int64_t tokens : {1, 2, 7, 24, 25}) {
    const auto s = random_dual_scan({2, tokens, 2, 3, 4, 5});
    const auto [y, h] = number_by_number(s);
    const auto [step_y, step_h] = dual_scan_steps(s);
    EXPECT_LT(distance(step_y, y), 1e-12) << tokens;
    EXPECT_LT(distance(step_h, h), 1e-12) << tokens;
    for (const int64_t chunk : {1, 2, 8, 24, 64}) {
      const auto [block_y, block_h] = dual_scan(s, chunk);
      EXPECT_LT(distance(block_y, y), 1e-12) << tokens << " in chunks of " << chunk;
      EXPECT_LT(distance(block_h, h), 1e-12) << tokens << " in chunks of " << chunk;
    }
  }
}

TEST(DualScan, IsItsMatrixTimesItsInput) {
  at::manual_seed(2);
  auto s = random_dual_scan({2, 11, 2, 2, 3, 4});
  s.h0 = Tensor();
  const auto matrix = dual_scan_matrix(s);
  EXPECT_LT(distance(matrix.matmul(s.x.transpose(1, 2)).transpose(1, 2), dual_scan(s, 4).first), 1e-12);
  EXPECT_EQ(matrix.triu(1).abs().max().item<double>(), 0);
  // One entry as the paper writes it: C_t (A_t .. A_{s+1}) delta_s B_s, of head 3 in group 1.
  const auto decay = (s.delta[1].narrow(0, 4, 4).select(1, 3) * s.A[3]).exp().prod();
  const auto entry = s.C[1][7][1].dot(s.B[1][3][1]) * decay * s.delta[1][3][3];
  EXPECT_NEAR(matrix[1][3][7][3].item<double>(), entry.item<double>(), 1e-12);
}

TEST(DualScan, GradientsOfChunksAreThoseOfSteps) {
  at::manual_seed(3);
  const auto s = random_dual_scan({2, 11, 2, 2, 3, 4});
  for (const auto& t : tensors(s)) t.set_requires_grad(true);
  const auto gradients = [&](const std::pair<Tensor, Tensor>& out) {
    return torch::autograd::grad({out.first.square().sum() + out.second.sin().sum()}, tensors(s));
  };
  const auto chunks = gradients(dual_scan(s, 4)), steps = gradients(dual_scan_steps(s));
  for (size_t i = 0; i < chunks.size(); ++i)
    EXPECT_LT(distance(chunks[i], steps[i]), 1e-11 * (1 + steps[i].abs().max().item<double>())) << i;
}

// A long block of fast decay: exp of the sums alone would be 0 or infinite.
TEST(DualScan, StaysFiniteWhereDecayIsFast) {
  at::manual_seed(4);
  auto s = random_dual_scan({1, 300, 1, 2, 3, 4});
  s.A = s.A * 20;
  s.delta.set_requires_grad(true);
  const auto [y, h] = dual_scan(s, 256);
  EXPECT_LT(distance(y, dual_scan_steps(s).first), 1e-11);
  const auto gradient = torch::autograd::grad({y.square().sum()}, {s.delta})[0];
  EXPECT_TRUE(gradient.isfinite().all().item<bool>());
}

// With one state, B = C = 1 and no skip each channel is a running sum that leaks.
TEST(DualScan, GoldenStates) {
  DualScan s;
  s.delta = s.gain = at::full({1, 3, 1}, std::log(2.0), at::kDouble);
  s.A = at::full({1}, -1.0, at::kDouble);
  s.B = s.C = s.x = at::ones({1, 3, 1, 1}, at::kDouble);
  for (const int64_t chunk : {1, 2, 3})
    EXPECT_LT(distance(dual_scan(s, chunk).first.flatten(),
                       at::tensor({0.693147, 1.039721, 1.213008}, at::kDouble)),
              1e-6);
}

const char* const kGroups =
    R"({"type": "mamba2", "d_state": 3, "head_width": 3, "groups": 2, "chunk": 4, "bias": true})";
const char* const kVariants[] = {
    kGroups, R"({"type": "mamba2", "d_state": 2, "head_width": 4, "d_conv": 1})",
    R"({"type": "mamba2", "d_state": 2, "head_width": 6, "chunk": 2, "conv_bias": false, "norm": false})",
    R"({"type": "mamba2", "d_state": 2, "head_width": 2, "groups": 3, "chunk": 3, "norm_before_gate": true,
        "dt_low": 0.02, "dt_high": 0.05})"};

TEST(Mamba2, GradientsMatchFiniteDifferences) {
  at::manual_seed(5);
  for (const char* json : kVariants) {
    MixerAlone alone(json, 6);
    const auto x = at::randn({2, 9, 6}, at::kDouble), w = at::randn({2, 9, 6}, at::kDouble);
    EXPECT_LT(gradient_error(alone.parameters(), [&] { return (alone.forward(x) * w).sum(); }), 1e-6) << json;
  }
}

TEST(Mamba2, AppendsEqualForward) {
  at::manual_seed(6);
  const at::NoGradGuard guard;
  for (const char* json : kVariants) {
    MixerAlone alone(json, 6);
    const auto x = at::randn({2, 12, 6}, at::kDouble);
    const auto whole = alone.forward(x);
    EXPECT_LT(distance(alone.in_pieces(x, {2, 1, 5, 1, 3}), whole), 1e-12) << json;
    EXPECT_LT(distance(alone.in_pieces(x, std::vector<int64_t>(12, 1)), whole), 1e-12) << json;
  }
  MixerAlone alone(R"({"type": "mamba2"})", 64, at::kFloat);
  const auto x = at::randn({2, 84, 64});
  std::vector<int64_t> pieces(21, 1);
  pieces[0] = 64;
  EXPECT_LT(distance(alone.in_pieces(x, pieces, at::kFloat), alone.forward(x)), 1e-4);
}

// The whole mixer from its parameters, token by token, as the formula of the header has it.
TEST(Mamba2, IsItsFormula) {
  at::manual_seed(7);
  const at::NoGradGuard guard;
  MixerAlone alone(kGroups, 6);  // 12 channels: 4 heads of 3, 2 in a group
  for (auto& param : alone.inventory->params) param.value.add_(at::randn_like(param.value) * 0.3);
  const auto u = at::randn({10, 6}, at::kDouble);
  const auto split = (u.matmul(alone.value("in.weight").t()) + alone.value("in.bias"))
                         .split_with_sizes({12, 12 + 2 * 6, 4}, 1);
  const auto inputs = at::cat({at::zeros({3, 24}, at::kDouble), split[1]});
  auto h = at::zeros({4, 3, 3}, at::kDouble);
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < 10; ++t) {
    const auto window = inputs.narrow(0, t, 4).t();
    const auto xbc = at::silu((window * alone.value("conv.weight")).sum(1) + alone.value("conv.bias"));
    const auto x = xbc.narrow(0, 0, 12).view({4, 3});
    const auto b = xbc.narrow(0, 12, 6).view({2, 3}).repeat_interleave(2, 0);
    const auto c = xbc.narrow(0, 18, 6).view({2, 3}).repeat_interleave(2, 0);
    const auto delta = (1 + (split[2][t] + alone.value("dt_bias")).exp()).log();
    const auto decay = (-delta * alone.value("A_log").exp()).exp();
    h = decay.view({4, 1, 1}) * h + (delta.view({4, 1}) * x).unsqueeze(2) * b.unsqueeze(1);
    const auto y = (h * c.unsqueeze(1)).sum(2) + alone.value("D").view({4, 1}) * x;
    const auto gated = (y.flatten() * at::silu(split[0][t])).view({2, 6});
    const auto normed = gated / (gated.square().mean(1, true) + 1e-5).sqrt();
    rows.push_back(normed.flatten() * alone.value("gate_norm.weight"));
  }
  const auto expected = at::stack(rows).matmul(alone.value("out.weight").t()) + alone.value("out.bias");
  EXPECT_LT(distance(alone.forward(u.unsqueeze(0))[0], expected), 1e-12);
}

TEST(Mamba2, LimitsHoldTheStep) {
  at::manual_seed(8);
  MixerAlone alone(R"({"type": "mamba2", "d_state": 2, "head_width": 4, "dt_low": 0.5, "dt_high": 0.5})", 6);
  const auto x = at::randn({1, 5, 6}, at::kDouble);
  const auto before = alone.forward(x);
  alone.set("dt_bias", at::full({3}, 7.0, at::kDouble));
  EXPECT_EQ(distance(alone.forward(x), before), 0);
}

TEST(Mamba2, PlainPathHasSecondDerivatives) {
  MixerAlone alone(kGroups, 6);
  const auto x = at::randn({1, 5, 6}, at::kDouble);
  Context ctx;
  ctx.mode.twice_differentiable = true;
  const auto y = alone.mixer->forward(ctx, x);
  EXPECT_LT(distance(y, alone.forward(x)), 1e-12);
  const auto a = alone.value("A_log");
  const auto g = torch::autograd::grad({y.square().sum()}, {a}, {}, true, true)[0];
  EXPECT_TRUE(torch::autograd::grad({g.square().sum()}, {a})[0].abs().sum().item<double>() > 0);
}

TEST(Mamba2, StatesKeepLengthsRollBackAndFork) {
  at::manual_seed(9);
  const at::NoGradGuard guard;
  MixerAlone alone(kGroups, 6);
  const auto x = at::randn({2, 7, 6}, at::kDouble), more = at::randn({2, 2, 6}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({7, 3}, at::kLong);
  auto state = alone.state(2, 2);
  alone.append(x, *state, &layout);
  const auto short_row = alone.forward(at::cat({x.narrow(0, 1, 1).narrow(1, 0, 3), more.narrow(0, 1, 1)}, 1));
  const auto next = alone.append(more, *state);
  EXPECT_LT(distance(next[1], short_row[0].narrow(0, 3, 2)), 1e-12);

  const auto rows = at::tensor({1, 1, 0}, at::kLong);
  const auto copy = state->fork(rows);
  const auto y = alone.append(more.narrow(1, 0, 1), *state);
  state->roll_back(2);
  EXPECT_LT(distance(alone.append(more, *state), next), 1e-15);
  EXPECT_LT(
      distance(alone.append(more.index_select(0, rows).narrow(1, 0, 1), *copy), y.index_select(0, rows)),
      1e-15);
  EXPECT_EQ(alone.state(2)->bytes(), 2 * ((12 + 2 * 6) * 4 + 12 * 3) * 8);
}

TEST(Mamba2, PaddingPassesTheStateOn) {
  at::manual_seed(10);
  const at::NoGradGuard guard;
  MixerAlone alone(kGroups, 6);
  const auto x = at::randn({2, 7, 6}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({7, 4}, at::kLong);
  const auto y = alone.forward(x, &layout);
  EXPECT_LT(distance(y[1].narrow(0, 0, 4), alone.forward(x.narrow(0, 1, 1).narrow(1, 0, 4))[0]), 1e-12);
  Context ctx;
  ctx.layout = &layout;
  const auto view = require_facet<MatrixFacet>(*alone.mixer, "mixer").matrix(ctx, x);
  const auto product = view.finish(view.weights.matmul(view.values));
  EXPECT_LT(distance(product[0], y[0]), 1e-12);
  EXPECT_LT(distance(product[1].narrow(0, 0, 4), y[1].narrow(0, 0, 4)), 1e-12);
}

TEST(Mamba2, StartsAsPublished) {
  MixerAlone alone(R"({"type": "mamba2"})", 2048);
  const auto step = at::softplus(alone.value("dt_bias")), rate = alone.value("A_log").exp();
  EXPECT_EQ(step.numel(), 64);
  EXPECT_GE(step.min().item<double>(), 0.001 - 1e-12);
  EXPECT_LE(step.max().item<double>(), 0.1 + 1e-12);
  EXPECT_GE(rate.min().item<double>(), 1);
  EXPECT_LE(rate.max().item<double>(), 16);
  EXPECT_NEAR(rate.mean().item<double>(), 8.5, 2);
  EXPECT_EQ(alone.value("in.weight").size(0), 2 * 4096 + 2 * 128 + 64);
  EXPECT_EQ(alone.value("conv.weight").size(0), 4096 + 2 * 128);
  EXPECT_LT(distance(alone.value("D"), at::ones({64}, at::kDouble)), 1e-15);
  for (const char* name : {"mixer.A_log", "mixer.D", "mixer.dt_bias", "mixer.gate_norm.weight"})
    EXPECT_FALSE(alone.inventory->by_name.at(name)->rule.decay);
  MixerAlone half(R"({"type": "mamba2", "head_width": 8, "d_state": 4})", 16, at::kBFloat16);
  EXPECT_EQ(half.value("A_log").scalar_type(), at::kFloat);
  EXPECT_FALSE(half.forward(at::randn({1, 5, 16}, at::kBFloat16)).isnan().any().item<bool>());
}

// The message of the error that building a mixer of width 6 ends in; empty where there is none.
std::string mamba2_refusal(const std::string& options) {
  try {
    MixerAlone(R"({"type": "mamba2", )" + options + "}", 6);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Mamba2, ErrorsNameWhatWasExpectedAndFound) {
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const auto heads = mamba2_refusal(R"("head_width": 5)");
  EXPECT_TRUE(has(heads, "12") && has(heads, "5")) << heads;
  const auto groups = mamba2_refusal(R"("head_width": 4, "groups": 2)");
  EXPECT_TRUE(has(groups, "3 heads") && has(groups, "2 groups")) << groups;
  const auto limits = mamba2_refusal(R"("head_width": 4, "dt_low": 2, "dt_high": 1)");
  EXPECT_TRUE(has(limits, "dt_low 2") && has(limits, "dt_high 1")) << limits;
  EXPECT_TRUE(has(mamba2_refusal(R"("head_width": 4, "a_min": 20)"), "a_max"));
  MixerAlone alone(R"({"type": "mamba2", "head_width": 4})", 6);
  EXPECT_THROW(alone.forward(at::zeros({2, 0, 6}, at::kDouble)), Error);
  const auto state = alone.state(3);
  EXPECT_THROW(alone.append(at::zeros({2, 1, 6}, at::kDouble), *state), Error);
}

}  // namespace
}  // namespace formwork
