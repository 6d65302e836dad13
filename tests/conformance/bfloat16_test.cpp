// bfloat16: outputs stay finite, and training by autocast lowers the loss.
#include "conformance/suite.h"
#include "formwork/core/autocast.h"
#include "formwork/train/optimizers/optimizer.h"

namespace formwork::conformance {
namespace {

class Bfloat16 : public Suite {};

TEST_P(Bfloat16, StaysFinite) {
  if (!build("bfloat16", at::kBFloat16)) GTEST_SKIP() << reason();
  const auto y = run(model(), inputs(subject(), 2, 5, at::kBFloat16));
  EXPECT_TRUE(y.isfinite().all().item<bool>());
  if (!y.requires_grad()) return;
  for (const auto& gradient :
       torch::autograd::grad({y.square().sum()}, model().trainable(), {}, std::nullopt, false, true))
    if (gradient.defined()) EXPECT_TRUE(gradient.isfinite().all().item<bool>());
}

// Five steps of AdamW on one batch, for the outputs' distance from a target.
TEST_P(Bfloat16, TrainingByAutocastLowersTheLoss) {
  if (!build("bfloat16_training", at::kFloat) || !when(!model().trainable().empty(), "nothing to train"))
    GTEST_SKIP() << reason();
  const auto in = inputs(subject(), 4, 6, at::kFloat);
  auto optimizer = Registry<Optimizer>::make("adamw", model());
  Tensor target;
  std::vector<double> losses;
  for (int64_t step = 1; step <= 6; ++step) {
    Tensor loss;
    {
      const AutocastGuard autocast({at::kCPU, true, at::kBFloat16});
      auto ctx = model().make_context();
      ctx.mode.train = true, ctx.seed = 1;
      const auto y = only(model(), model().forward(ctx, in)).to(at::kFloat);
      if (!target.defined()) target = at::randn_like(y).detach();
      loss = (y - target).square().mean();
    }
    if (!when(loss.requires_grad(), "the output depends on no parameter")) GTEST_SKIP() << reason();
    losses.push_back(loss.item<double>());
    optimizer->parameters().clear_gradients();
    loss.backward();
    Update update;
    update.step = step, update.rate = 1e-2;
    optimizer->step(update);
  }
  EXPECT_TRUE(std::isfinite(losses.back()));
  EXPECT_LT(losses.back(), losses.front()) << fmt::format("{}", fmt::join(losses, " "));
}

INSTANTIATE_TEST_SUITE_P(Registered, Bfloat16, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
