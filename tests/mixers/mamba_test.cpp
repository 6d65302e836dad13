#include "formwork/mixers/recurrent/mamba.h"

#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "mixer_alone.h"
#include "random_scan.h"

namespace formwork {
namespace {

std::vector<Tensor> tensors(const SelectiveScan& s) { return {s.delta, s.A, s.B, s.C, s.x, s.D, s.z, s.h0}; }

TEST(SelectiveScan, FusedEqualsTheRecurrence) {
  at::manual_seed(1);
  for (const bool zoh : {false, true})
    for (const int64_t length : {1, 7, 64, 257})
      for (const auto type : {at::kFloat, at::kDouble}) {
        auto s = random_scan(2, length, 5, 3, type);
        s.zoh = zoh;
        const auto [y, h] = selective_scan_fused(s);
        const auto [plain_y, plain_h] = selective_scan_plain(s);
        const double scale = plain_y.abs().max().item<double>(), bound = type == at::kFloat ? 1e-5 : 1e-10;
        EXPECT_LT(distance(y, plain_y) / scale, bound) << length;
        EXPECT_LT(distance(h, plain_h), bound * scale) << length;
      }
}

TEST(SelectiveScan, FusedGradientsEqualThoseOfTheRecurrence) {
  at::manual_seed(2);
  for (const bool zoh : {false, true}) {
    auto s = random_scan(2, 37, 5, 3, at::kDouble);
    s.zoh = zoh;
    for (const auto& t : tensors(s)) t.set_requires_grad(true);
    const auto gradients = [&](const std::pair<Tensor, Tensor>& out) {
      for (const auto& t : tensors(s)) t.mutable_grad() = Tensor();
      (out.first.square().sum() + out.second.sin().sum()).backward();
      std::vector<Tensor> list;
      for (const auto& t : tensors(s)) list.push_back(t.grad());
      return list;
    };
    const auto fused = gradients(selective_scan_fused(s)), plain = gradients(selective_scan_plain(s));
    for (size_t i = 0; i < fused.size(); ++i)
      EXPECT_LT(distance(fused[i], plain[i]), 1e-9 * (1 + plain[i].abs().max().item<double>())) << i;
  }
}

TEST(SelectiveScan, GoldenStates) {
  const auto ones = at::ones({3}, at::kDouble);
  const auto [y, h] = selective_scan(single(ones * std::log(2.0), ones), false);
  EXPECT_LT(distance(y.flatten(), at::tensor({0.693147, 1.039721, 1.213008}, at::kDouble)), 1e-6);
}

TEST(SelectiveScan, OneStateWithExactHoldIsAGatedRecurrence) {
  at::manual_seed(3);
  const auto logits = at::randn({40}, at::kDouble), x = at::randn({40}, at::kDouble);
  for (const bool zoh : {true, false}) {
    auto s = single(at::softplus(logits), x);
    s.zoh = zoh;
    const auto y = selective_scan(s, false).first.flatten();
    const auto gate = at::sigmoid(logits), input = zoh ? gate : -(1 - gate).log();
    double h = 0;
    for (int64_t t = 0; t < 40; ++t) {
      h = (1 - gate[t].item<double>()) * h + input[t].item<double>() * x[t].item<double>();
      EXPECT_NEAR(y[t].item<double>(), h, 1e-6) << t;
    }
  }
}

TEST(SelectiveScan, ConstantsAreACausalConvolution) {
  at::manual_seed(4);
  const int64_t length = 50, channels = 6, states = 4;
  for (const bool plain : {false, true}) {
    auto s = random_scan(2, length, channels, states, at::kFloat);
    s.h0 = s.z = s.D = Tensor();
    const auto delta = at::rand({channels}) * 0.3;
    s.delta = delta.expand({2, length, channels});
    s.B = at::randn({channels, states}), s.C = at::randn({channels, states});
    const auto y = selective_scan(s, plain).first;
    const auto decay = (delta.unsqueeze(1) * s.A).exp();
    auto expected = at::zeros_like(y);
    for (int64_t k = 0; k < length; ++k) {
      const auto kernel = (s.C * decay.pow(k) * delta.unsqueeze(1) * s.B).sum(1);
      expected.narrow(1, k, length - k).add_(s.x.narrow(1, 0, length - k) * kernel);
    }
    EXPECT_LT(distance(y, expected), 1e-5 * expected.abs().max().item<double>());
  }
}

const char* const kReal = R"({"type": "mamba", "d_state": 3, "dt_rank": 2})";
const char* const kMambaVariants[] = {
    kReal,
    R"({"type": "mamba", "d_state": 2, "complex": true})",
    R"({"type": "mamba", "d_state": 2, "complex": true, "discretization": "zoh", "selective_b": false})",
    R"({"type": "mamba", "d_state": 2, "complex": true, "selective_delta": false, "selective_b": false,
        "selective_c": false, "a_init": "s4d_inv"})",
    R"({"type": "mamba", "d_state": 3, "a_init": "random", "dt_init": "constant"})",
    R"({"type": "mamba", "d_state": 2, "d_conv": 1, "discretization": "zoh"})",
    R"({"type": "mamba", "d_state": 3, "selective_delta": false, "selective_b": false, "selective_c": false})",
    R"({"type": "mamba", "d_state": 3, "selective_c": false})",
    R"({"type": "mamba", "d_state": 3, "selective_b": false})",
    R"({"type": "mamba", "d_state": 3, "selective_delta": false})"};

TEST(Mamba, GradientsMatchFiniteDifferences) {
  at::manual_seed(5);
  for (const char* json : kMambaVariants) {
    MixerAlone alone(json, 6);
    const auto x = at::randn({2, 9, 6}, at::kDouble), w = at::randn({2, 9, 6}, at::kDouble);
    EXPECT_LT(gradient_error(alone.parameters(), [&] { return (alone.forward(x) * w).sum(); }), 1e-6) << json;
  }
}

TEST(Mamba, PlainPathHasSecondDerivatives) {
  MixerAlone alone(kReal, 6);
  const auto x = at::randn({1, 5, 6}, at::kDouble);
  Context ctx;
  ctx.mode.twice_differentiable = true;
  const auto y = alone.mixer->forward(ctx, x);
  EXPECT_LT(distance(y, alone.forward(x)), 1e-12);
  const auto a = alone.value("A_log");
  const auto g = torch::autograd::grad({y.square().sum()}, {a}, {}, true, true)[0];
  EXPECT_TRUE(torch::autograd::grad({g.square().sum()}, {a})[0].abs().sum().item<double>() > 0);
}

TEST(Mamba, AppendsEqualForward) {
  at::manual_seed(6);
  const at::NoGradGuard guard;
  for (const char* json : kMambaVariants) {
    MixerAlone alone(json, 6);
    const auto x = at::randn({2, 12, 6}, at::kDouble);
    EXPECT_LT(distance(alone.in_pieces(x, {2, 1, 5, 1, 3}), alone.forward(x)), 1e-12) << json;
  }
  MixerAlone alone(R"({"type": "mamba"})", 32, at::kFloat);
  const auto x = at::randn({2, 84, 32});
  std::vector<int64_t> pieces(21, 1);
  pieces[0] = 64;
  EXPECT_LT(distance(alone.in_pieces(x, pieces, at::kFloat), alone.forward(x)), 1e-4);
}

TEST(Mamba, StatesKeepLengthsRollBackAndFork) {
  at::manual_seed(7);
  const at::NoGradGuard guard;
  MixerAlone alone(kReal, 6);
  const auto x = at::randn({2, 7, 6}, at::kDouble), more = at::randn({2, 2, 6}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({7, 3}, at::kLong);
  auto state = alone.state(2, 2);
  alone.append(x, *state, &layout);
  const auto short_row = alone.forward(at::cat({x.narrow(0, 1, 1).narrow(1, 0, 3), more.narrow(0, 1, 1)}, 1));
  const auto next = alone.append(more, *state);
  EXPECT_LT(distance(next[1], short_row[0].narrow(0, 3, 2)), 1e-12);

  const auto copy = state->fork(at::tensor({1, 1, 0}, at::kLong));
  const auto y = alone.append(more.narrow(1, 0, 1), *state);
  state->roll_back(2);
  EXPECT_LT(distance(alone.append(more, *state), next), 1e-15);
  const auto forked =
      alone.append(more.index_select(0, at::tensor({1, 1, 0}, at::kLong)).narrow(1, 0, 1), *copy);
  EXPECT_LT(distance(forked, y.index_select(0, at::tensor({1, 1, 0}, at::kLong))), 1e-15);
  EXPECT_THROW(alone.state(2)->roll_back(1), Error);
  EXPECT_THROW(alone.append(more.narrow(0, 0, 1), *state), Error);
  EXPECT_EQ(alone.state(2)->bytes(), 2 * (12 * 4 + 12 * 3) * 8);
}

TEST(Mamba, PaddingPassesTheStateOn) {
  at::manual_seed(8);
  const at::NoGradGuard guard;
  MixerAlone alone(kReal, 6);
  auto x = at::randn({2, 7, 6}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({7, 4}, at::kLong);
  const auto y = alone.forward(x, &layout);
  EXPECT_LT(distance(y[1].narrow(0, 0, 4), alone.forward(x.narrow(0, 1, 1).narrow(1, 0, 4))[0]), 1e-12);
}

TEST(Mamba, MatrixOfTheMixerWithPadding) {
  at::manual_seed(26);
  const at::NoGradGuard guard;
  MixerAlone alone(kReal, 6);
  const auto x = at::randn({2, 7, 6}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({7, 4}, at::kLong);
  Context ctx;
  ctx.layout = &layout;
  const auto view = require_facet<MatrixFacet>(*alone.mixer, "mixer").matrix(ctx, x);
  const auto y = view.finish(view.weights.matmul(view.values)), right = alone.forward(x, &layout);
  EXPECT_LT(distance(y[0], right[0]), 1e-12);
  EXPECT_LT(distance(y[1].narrow(0, 0, 4), right[1].narrow(0, 0, 4)), 1e-12);
}

TEST(Mamba, StatesStartWhereTheirOptionSays) {
  const auto start = [](const char* name, bool complex) {
    return MixerAlone(
        fmt::format(R"({{"type": "mamba", "d_state": 4, "a_init": "{}", "complex": {}}})", name, complex),
        64);
  };
  EXPECT_LT(distance(start("half", false).value("A_log").exp(), at::full({128, 4}, 0.5, at::kDouble)), 1e-12);
  const auto random = start("random", false).value("A_log");
  EXPECT_NEAR(random.mean().item<double>(), 0, 0.15);
  EXPECT_NEAR(random.std().item<double>(), 1, 0.15);
  auto lin = start("s4d", true), inv = start("s4d_inv", true);
  for (auto* alone : {&lin, &inv})
    EXPECT_LT(distance(alone->value("A_log").exp(), at::full({128, 4}, 0.5, at::kDouble)), 1e-12);
  EXPECT_LT(distance(lin.value("A_imag")[5], at::arange(4, at::kDouble) * M_PI), 1e-12);
  const auto n = at::arange(4, at::kDouble);
  EXPECT_LT(distance(inv.value("A_imag")[5], (4 / (2 * n + 1) - 1) * (4 / M_PI)), 1e-12);
  EXPECT_FALSE(lin.inventory->by_name.at("mixer.A_imag")->rule.decay);
  auto constant = MixerAlone(R"({"type": "mamba", "d_state": 3, "complex": true, "selective_b": false})", 8);
  EXPECT_TRUE(at::equal(constant.value("B").select(2, 0), at::ones({16, 3}, at::kDouble)));
  EXPECT_EQ(constant.value("B").select(2, 1).abs().max().item<double>(), 0);
}

TEST(Mamba, ConstantStepWeightsAndFloor) {
  MixerAlone alone(R"({"type": "mamba", "dt_init": "constant", "dt_rank": 4, "dt_min": 1e-6, "dt_max": 1e-3,
                       "dt_init_floor": 1e-4})",
                   64);
  EXPECT_TRUE(at::equal(alone.value("delta.weight"), at::full({128, 4}, 0.5, at::kDouble)));
  const auto step = at::softplus(alone.value("delta.bias"));
  EXPECT_NEAR(step.min().item<double>(), 1e-4, 1e-12);
  EXPECT_LE(step.max().item<double>(), 1e-3 + 1e-12);
}

// The message of the error that `call` ends in; empty where there is none.
std::string mamba_refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Mamba, ErrorsNameWhatWasExpectedAndFound) {
  MixerAlone alone(kReal, 6);
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const auto empty = mamba_refusal([&] { alone.forward(at::zeros({2, 0, 6}, at::kDouble)); });
  EXPECT_TRUE(has(empty, "at least 1") && has(empty, "found 0")) << empty;
  const auto state = alone.state(3);
  const auto rows = mamba_refusal([&] { alone.append(at::zeros({2, 1, 6}, at::kDouble), *state); });
  EXPECT_TRUE(has(rows, "3") && has(rows, "2")) << rows;
  for (const char* option : {"d_conv", "d_state"}) {
    const auto small =
        mamba_refusal([&] { MixerAlone(fmt::format(R"({{"type": "mamba", "{}": 0}})", option), 6); });
    EXPECT_TRUE(has(small, option) && has(small, "1") && has(small, "0")) << small;
  }
  EXPECT_NE(mamba_refusal([] { MixerAlone(R"({"type": "mamba", "a_init": "s4d_inv"})", 6); }), "");
  EXPECT_NE(mamba_refusal([] { MixerAlone(R"({"type": "mamba", "dt_min": 1, "dt_max": 0.1})", 6); }), "");
  auto model = build_model(Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder",
      "vocab": 24, "width": 8, "layers": [{"mixer": {"type": "mamba"}}]}})"),
                                           "test"));
  auto ctx = model->make_context();
  const auto id = mamba_refusal([&] {
    model->forward(ctx, {{"input_ids", at::tensor({3, 24}, at::kLong).view({1, 2})}});
  });
  EXPECT_TRUE(has(id, "24")) << id;
}

TEST(Mamba, StartsAsPublished) {
  MixerAlone alone(R"({"type": "mamba"})", 512);
  const auto step = at::softplus(alone.value("delta.bias"));
  EXPECT_EQ(step.numel(), 1024);
  EXPECT_GE(step.min().item<double>(), 0.001 - 1e-12);
  EXPECT_LE(step.max().item<double>(), 0.1 + 1e-12);
  EXPECT_GT(step.median().item<double>(), 0.005);
  EXPECT_LT(step.median().item<double>(), 0.02);
  EXPECT_LT(distance(alone.value("A_log")[3].exp(), at::arange(1, 17, at::kDouble)), 1e-12);
  EXPECT_EQ(alone.value("delta.weight").size(1), 32);
  EXPECT_LE(alone.value("delta.weight").abs().max().item<double>(), 1 / std::sqrt(32.0));
  EXPECT_GT(alone.value("conv.bias").abs().min().item<double>(), 0);
  EXPECT_LE(alone.value("conv.bias").abs().max().item<double>(), 0.5);
  EXPECT_LT(distance(alone.value("D"), at::ones({1024}, at::kDouble)), 1e-15);
  for (const char* name : {"mixer.A_log", "mixer.D"})
    EXPECT_FALSE(alone.inventory->by_name.at(name)->rule.decay);
  MixerAlone half(R"({"type": "mamba"})", 16, at::kBFloat16);
  EXPECT_EQ(half.value("A_log").scalar_type(), at::kFloat);
  EXPECT_FALSE(half.forward(at::randn({1, 5, 16}, at::kBFloat16)).isnan().any().item<bool>());
}

// Weights whose loss of trailing inner channels must change nothing: those channels are closed at the output.
TEST(Mamba, CuttingInnerChannelsFollowsTheAxis) {
  at::manual_seed(9);
  const at::NoGradGuard guard;
  MixerAlone whole(R"({"type": "mamba", "d_state": 3})", 8);
  for (const char* name : {"out.weight", "x.weight"}) whole.value(name).narrow(1, 10, 6).zero_();
  Inventory cut;
  cut.dtype = at::kDouble;
  cut.spec.axes["mixer.inner"] = 10;
  Build root(cut, "mixer", {}, {});
  root.in = root.out = root.global_axis("residual", 8);
  const auto mixer =
      make_mixer(root, PartSpec::from_json(Json::parse(R"({"type": "mamba", "d_state": 3})"), ""));
  for (auto& param : cut.params) {
    auto value = whole.inventory->by_name.at(param.name)->value;
    for (size_t d = 0; d < param.dims.size(); ++d) {
      if (!param.dims[d].carries("mixer.inner")) continue;
      std::vector<Tensor> pieces;
      for (const auto& half : value.split(16, static_cast<int64_t>(d)))
        pieces.push_back(half.narrow(static_cast<int64_t>(d), 0, 10));
      value = at::cat(pieces, static_cast<int64_t>(d));
    }
    param.value.copy_(value);
  }
  const auto x = at::randn({2, 6, 8}, at::kDouble);
  Context ctx;
  EXPECT_LT(distance(mixer->forward(ctx, x), whole.forward(x)), 1e-12);
}

}  // namespace
}  // namespace formwork
