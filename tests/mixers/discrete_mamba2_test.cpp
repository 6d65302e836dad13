// Discrete Mamba-2, linear attention and Toeplitz mixing: one causal matrix a head in the same frame.
#include <gtest/gtest.h>

#include "formwork/core/facet.h"
#include "mixers/mixer_alone.h"

namespace formwork {
namespace {

const char* const kSmall = R"({"type": "discrete_mamba2", "heads": 2, "d_state": 3, "chunk": 4})";
const char* const kDiscreteVariants[] = {
    kSmall,
    R"({"type": "discrete_mamba2", "heads": 6, "groups": 3, "d_state": 2, "activation": "silu", "bias": true})",
    R"({"type": "discrete_mamba2", "heads": 2, "d_state": 2, "decay": false, "expand": 2, "conv_bias": false})",
    R"({"type": "toeplitz", "heads": 3})",
    R"({"type": "toeplitz", "heads": 2, "expand": 2, "identity_start": false})"};

// Every parameter moved away from where it starts, so that each term shows.
void disturb(MixerAlone& alone) {
  const at::NoGradGuard guard;
  for (auto& param : alone.inventory->params) param.value.add_(at::randn_like(param.value) * 0.3);
}

TokenMatrix matrix_of(MixerAlone& alone, Context& ctx, const Tensor& x) {
  return require_facet<MatrixFacet>(*alone.mixer, "mixer").matrix(ctx, x);
}

// The rows of W_in: x, B, C (heads times states each), z, a.
struct Rows {
  int64_t inner, states, heads;
  int64_t b() const { return inner; }
  int64_t c() const { return inner + states; }
  int64_t z() const { return inner + 2 * states; }
  int64_t a() const { return 2 * inner + 2 * states; }
};

TEST(DiscreteMamba2, GoldenMatrix) {
  MixerAlone alone(R"({"type": "discrete_mamba2", "heads": 1, "d_state": 1})", 2);
  const Rows rows{2, 1, 1};
  auto weight = at::zeros({7, 2}, at::kDouble);
  weight.narrow(0, rows.b(), 2).fill_(0.5);  // B = C = 1 for the input (1, 1); a = 0
  alone.set("in.weight", weight);
  Context ctx;
  const auto m = matrix_of(alone, ctx, at::ones({1, 3, 2}, at::kDouble)).weights[0][0];
  const auto golden = at::tensor({2.0, 0.0, 0.0, 0.5, 2.0, 0.0, 0.25, 0.5, 2.0}, at::kDouble).view({3, 3});
  EXPECT_LT(distance(m, golden), 1e-15);
}

// M x, the scan in chunks and the recurrence, for decays that are none, a half, and nearly everything.
TEST(DiscreteMamba2, MatrixChunksAndStepsAgree) {
  at::manual_seed(1);
  const at::NoGradGuard guard;
  for (const auto type : {at::kDouble, at::kFloat})
    for (const double a : {-20.0, 0.0, 20.0})
      for (const int64_t tokens : {1, 7, 130, 1024}) {
        MixerAlone alone(R"({"type": "discrete_mamba2", "heads": 2, "d_state": 3, "bias": true})", 4, type);
        disturb(alone);
        const Rows rows{4, 6, 2};
        alone.value("in.bias").narrow(0, rows.a(), 2).add_(a);
        const auto x = at::randn({1, tokens, 4}, type);
        const auto y = alone.forward(x);
        const double bound = (type == at::kDouble ? 1e-11 : 1e-5) * (1 + y.abs().max().item<double>());
        Context ctx;
        const auto view = matrix_of(alone, ctx, x);
        ASSERT_TRUE(view.weights.isfinite().all().item<bool>());
        EXPECT_LT(distance(view.finish(view.weights.matmul(view.values)), y), bound) << a << " " << tokens;
        EXPECT_EQ(view.weights.triu(1).abs().max().item<double>(), 0);
        if (tokens <= 130)
          EXPECT_LT(
              distance(alone.in_pieces(x, std::vector<int64_t>(static_cast<size_t>(tokens), 1), type), y),
              bound)
              << a << " " << tokens;
      }
}

// The whole mixer from its parameters, token by token, as the formula has it.
TEST(DiscreteMamba2, IsItsFormula) {
  at::manual_seed(2);
  const at::NoGradGuard guard;
  MixerAlone alone(R"({"type": "discrete_mamba2", "heads": 4, "groups": 2, "d_state": 3, "chunk": 4})", 8);
  disturb(alone);
  const auto u = at::randn({10, 8}, at::kDouble);
  const auto parts = u.matmul(alone.value("in.weight").t()).split_with_sizes({8 + 2 * 6, 8, 4}, 1);
  const auto inputs = at::cat({at::zeros({3, 20}, at::kDouble), parts[0]});
  auto h = at::zeros({4, 2, 3}, at::kDouble);
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < 10; ++t) {
    const auto xbc =
        (inputs.narrow(0, t, 4).t() * alone.value("conv.weight")).sum(1) + alone.value("conv.bias");
    const auto x = xbc.narrow(0, 0, 8).view({4, 2});
    const auto b = xbc.narrow(0, 8, 6).view({2, 3}).repeat_interleave(2, 0);
    const auto c = xbc.narrow(0, 14, 6).view({2, 3}).repeat_interleave(2, 0);
    h = at::sigmoid(-parts[2][t]).view({4, 1, 1}) * h + x.unsqueeze(2) * b.unsqueeze(1);
    const auto y = (h * c.unsqueeze(1)).sum(2) + alone.value("D").view({4, 1}) * x;
    rows.push_back(y.flatten() * at::silu(parts[1][t] + alone.value("z_bias")));
  }
  const auto expected = at::stack(rows).matmul(alone.value("out.weight").t());
  EXPECT_LT(distance(alone.forward(u.unsqueeze(0))[0], expected), 1e-12);
}

TEST(DiscreteMamba2, WithoutDecayIsLinearAttention) {
  at::manual_seed(3);
  const at::NoGradGuard guard;
  MixerAlone alone(R"({"type": "discrete_mamba2", "heads": 1, "d_state": 3, "decay": false})", 4);
  EXPECT_EQ(alone.value("in.weight").size(0), 4 + 3 + 3 + 4);
  const auto u = at::randn({1, 6, 4}, at::kDouble);
  Context ctx;
  const auto parts = u[0].matmul(alone.value("in.weight").t());
  const auto b = parts.narrow(1, 4, 3), c = parts.narrow(1, 7, 3);  // the convolution starts as the identity
  EXPECT_LT(
      distance(matrix_of(alone, ctx, u).weights[0][0], c.matmul(b.t()).tril() + at::eye(6, at::kDouble)),
      1e-13);
}

TEST(DiscreteMamba2, StartsAsItsMatrixAlone) {
  at::manual_seed(4);
  const at::NoGradGuard guard;
  for (const char* json :
       {kSmall, R"({"type": "discrete_mamba2", "heads": 2, "d_state": 3, "bias": true})"}) {
    MixerAlone alone(json, 6);
    const auto u = at::randn({2, 9, 6}, at::kDouble);
    Context ctx;
    const auto m = matrix_of(alone, ctx, u).weights;
    const auto x =
        u.matmul(alone.value("in.weight").narrow(0, 0, 6).t()).unflatten(-1, {2, 3}).transpose(1, 2);
    const auto mixed = m.matmul(x).transpose(1, 2).flatten(2);
    EXPECT_LT(distance(alone.forward(u), mixed.matmul(alone.value("out.weight").t())), 1e-12) << json;
  }
  MixerAlone as_class(R"({"type": "discrete_mamba2", "heads": 2, "identity_start": false})", 6);
  EXPECT_EQ(as_class.value("z_bias").abs().max().item<double>(), 0);
  EXPECT_GT(as_class.value("conv.weight").narrow(1, 0, 3).abs().max().item<double>(), 0);
}

TEST(GatedFrame, GradientsMatchFiniteDifferences) {
  at::manual_seed(5);
  for (const char* json : kDiscreteVariants) {
    MixerAlone alone(json, 6);
    disturb(alone);
    const auto x = at::randn({2, 9, 6}, at::kDouble), w = at::randn({2, 9, 6}, at::kDouble);
    EXPECT_LT(gradient_error(alone.parameters(), [&] { return (alone.forward(x) * w).sum(); }), 1e-6) << json;
  }
}

TEST(GatedFrame, AppendsEqualForward) {
  at::manual_seed(6);
  const at::NoGradGuard guard;
  for (const char* json : kDiscreteVariants) {
    MixerAlone alone(json, 6);
    disturb(alone);
    const auto x = at::randn({2, 12, 6}, at::kDouble);
    const auto whole = alone.forward(x);
    EXPECT_LT(distance(alone.in_pieces(x, {2, 1, 5, 1, 3}), whole), 1e-12) << json;
    EXPECT_LT(distance(alone.in_pieces(x, std::vector<int64_t>(12, 1)), whole), 1e-12) << json;
    auto later = x.clone();
    later.narrow(1, 7, 5).add_(1);
    EXPECT_EQ(distance(alone.forward(later).narrow(1, 0, 7), whole.narrow(1, 0, 7)), 0) << json;
  }
}

TEST(GatedFrame, PaddingPassesTheStateOnAndStatesRollBack) {
  at::manual_seed(7);
  const at::NoGradGuard guard;
  for (const char* json : kDiscreteVariants) {
    MixerAlone alone(json, 6);
    disturb(alone);
    const auto x = at::randn({2, 7, 6}, at::kDouble), more = at::randn({2, 2, 6}, at::kDouble);
    Layout layout;
    layout.lengths = at::tensor({7, 3}, at::kLong);
    auto state = alone.state(2, 2);
    alone.append(x, *state, &layout);
    const auto short_row =
        alone.forward(at::cat({x.narrow(0, 1, 1).narrow(1, 0, 3), more.narrow(0, 1, 1)}, 1));
    const auto next = alone.append(more, *state);
    EXPECT_LT(distance(next[1], short_row[0].narrow(0, 3, 2)), 1e-12) << json;
    const auto rows = at::tensor({1, 0}, at::kLong);
    const auto copy = state->fork(rows);
    const auto y = alone.append(more, *state);
    EXPECT_LT(distance(alone.append(more.index_select(0, rows), *copy), y.index_select(0, rows)), 1e-15)
        << json;
    state->roll_back(2);
    EXPECT_LT(distance(alone.append(more, *state), next), 1e-15) << json;
  }
}

TEST(Toeplitz, IsAFilterReadOffTheTokens) {
  at::manual_seed(8);
  const at::NoGradGuard guard;
  MixerAlone alone(R"({"type": "toeplitz", "heads": 2})", 4);
  const auto u = at::randn({1, 5, 4}, at::kDouble);
  Context ctx;
  const auto m = matrix_of(alone, ctx, u).weights;
  const auto filter = u[0].matmul(alone.value("in.weight").narrow(0, 8, 2).t());  // behind x and z
  for (int64_t t = 0; t < 5; ++t)
    for (int64_t s = 0; s < 5; ++s)
      for (int64_t h = 0; h < 2; ++h)
        EXPECT_NEAR(m[0][h][t][s].item<double>(), s <= t ? filter[t - s][h].item<double>() : 0, 1e-14);
}

TEST(GatedFrame, ErrorsNameWhatWasExpectedAndFound) {
  const auto refusal = [](const std::string& json) -> std::string {
    try {
      MixerAlone(json, 6);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  const auto heads = refusal(R"({"type": "discrete_mamba2", "heads": 4})");
  EXPECT_NE(heads.find("6 inner channels"), std::string::npos) << heads;
  EXPECT_NE(heads.find("4 heads"), std::string::npos) << heads;
  const auto groups = refusal(R"({"type": "discrete_mamba2", "heads": 3, "groups": 2})");
  EXPECT_NE(groups.find("2 groups"), std::string::npos) << groups;
  EXPECT_NE(refusal(R"({"type": "toeplitz", "heads": 5})").find("5 heads"), std::string::npos);
  MixerAlone alone(kSmall, 6);
  EXPECT_THROW(alone.forward(at::zeros({2, 0, 6}, at::kDouble)), Error);
  const auto state = alone.state(3);
  EXPECT_THROW(alone.append(at::zeros({2, 1, 6}, at::kDouble), *state), Error);
}

}  // namespace
}  // namespace formwork
