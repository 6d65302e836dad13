// Gradients, first and second, equal finite differences; recomputed activations give the same ones.
#include "conformance/suite.h"

namespace formwork::conformance {
namespace {

class Gradients : public Suite {};

TEST_P(Gradients, EqualFiniteDifferences) {
  if (!build("gradients")) GTEST_SKIP() << reason();
  auto in = inputs(subject(), 2, 4);
  std::vector<Tensor> points = model().trainable();
  if (subject().is_part()) points.push_back(in["x"].set_requires_grad(true));
  if (in.count("memory")) points.push_back(in["memory"].set_requires_grad(true));
  const auto weight = at::randn(run(model(), in).sizes(), at::kDouble);
  const auto loss = [&] { return (run(model(), in) * weight).sum(); };
  const auto gradients = torch::autograd::grad({loss()}, points, {}, std::nullopt, false, true);
  const at::NoGradGuard guard;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto before = points[i].detach().clone(), direction = at::randn_like(before);
    const double step = 1e-6;
    points[i].copy_(before + direction * step);
    const double high = loss().item<double>();
    points[i].copy_(before - direction * step);
    const double low = loss().item<double>();
    points[i].copy_(before);
    const double measured = (high - low) / (2 * step);
    const double exact = gradients[i].defined() ? (gradients[i] * direction).sum().item<double>() : 0;
    EXPECT_NEAR(exact, measured, 1e-5 * (1 + std::abs(measured))) << "input " << i;
  }
}

// Of sum(y^2), at the input of a part and at the first parameter of a model.
TEST_P(Gradients, SecondEqualFiniteDifferences) {
  if (!build("second_gradients") || !when(traits().twice_differentiable, "not twice differentiable"))
    GTEST_SKIP() << reason();
  auto in = inputs(subject(), 1, 3);
  auto point = subject().is_part() ? in["x"].set_requires_grad(true) : model().trainable().at(0);
  const auto direction = at::randn_like(point), probe = at::randn_like(point);
  const auto slope = [&] {
    auto ctx = model().make_context();
    ctx.mode.twice_differentiable = true;
    const auto loss = only(model(), model().forward(ctx, in)).square().sum();
    return (torch::autograd::grad({loss}, {point}, {}, true, true)[0] * probe).sum();
  };
  const auto second = torch::autograd::grad({slope()}, {point})[0];
  const auto before = point.detach().clone();
  const auto beside = [&](double step) {
    {
      const at::NoGradGuard guard;
      point.copy_(before + direction * step);
    }
    return slope().item<double>();
  };
  const double measured = (beside(1e-6) - beside(-1e-6)) / 2e-6;
  EXPECT_NEAR((second * direction).sum().item<double>(), measured, 1e-4 * (1 + std::abs(measured)));
}

TEST_P(Gradients, AreEqualWithRecomputedActivations) {
  if (!build("checkpoint") || !when(!subject().is_part(), "a part alone keeps its activations"))
    GTEST_SKIP() << reason();
  const auto in = inputs(subject(), 3, 6);
  const auto pass = [&](bool checkpoint) {
    auto ctx = model().make_context();
    ctx.mode.train = true, ctx.mode.checkpoint = checkpoint, ctx.seed = 5;
    auto loss = only(model(), model().forward(ctx, in)).square().sum();
    for (const auto& [name, term] : ctx.auxiliary) loss = loss + term;
    auto gradients = torch::autograd::grad({loss}, model().trainable(), {}, std::nullopt, false, true);
    gradients.push_back(loss.detach());
    return gradients;
  };
  const auto plain = pass(false), recomputed = pass(true);
  // Where several segments read one stream or share a parameter, their sums are formed in another order.
  const bool shared = subject().field == "decoder_input_ids" || subject().label == "models/encoder/linformer";
  const double tolerance = shared ? 1e-11 : 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_EQ(plain[i].defined(), recomputed[i].defined()) << i;
    if (plain[i].defined()) EXPECT_LE(gap(plain[i], recomputed[i]), tolerance) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Registered, Gradients, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
