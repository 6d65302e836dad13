// Results are written over memory that nobody needs any more, and over no other.
#include <gtest/gtest.h>

#include "formwork/activations/gated.h"
#include "formwork/models/model.h"
#include "formwork/train/objectives/token_cross_entropy.h"

namespace formwork {
namespace {

std::shared_ptr<Model> wired_decoder(const std::string& wiring) {
  const Json layer = {{"type", wiring},
                      {"mixer", {{"type", "attention"}, {"heads", 2}, {"position", "rotary"}}},
                      {"channel", {{"type", "gated_mlp"}, {"hidden", 24}}}};
  const Json json = {{"formwork", 1},
                     {"model",
                      {{"type", "decoder"},
                       {"vocab", 11},
                       {"width", 16},
                       {"layers", {{"repeat", 2}, {"pattern", {layer}}}}}}};
  return build_model(Spec::from_json(json, "test"), 3);
}

class MemoryReuse : public testing::TestWithParam<const char*> {
 protected:
  Tensor loss(TapBoard* board = nullptr) {
    auto ctx = model_->make_context(board);
    ctx.mode.train = true;
    return token_cross_entropy(model_->forward(ctx, {{"input_ids", ids_}}).at("logits"), targets_, 0.1);
  }
  std::vector<Tensor> gradients(const Tensor& loss, bool keep = false) {
    return torch::autograd::grad({loss}, model_->trainable(), {}, keep);
  }
  static void expect_equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].equal(b[i])) << i;
  }

  std::shared_ptr<Model> model_ = wired_decoder(GetParam());
  Tensor ids_ = at::randint(11, {3, 5}, at::kLong), targets_ = at::randint(11, {3, 5}, at::kLong);
};

TEST_P(MemoryReuse, SparesWhatListenersKeep) {
  std::vector<Tensor> kept, copies;
  auto board = model_->make_board();
  board.read("*out", [&](const TapEvent&, const Tensor& x) {
    kept.push_back(x);
    copies.push_back(x.detach().clone());
  });
  const auto heard = gradients(loss(&board));
  EXPECT_GT(kept.size(), 15u);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(kept[i].equal(copies[i])) << i;
  expect_equal(heard, gradients(loss()));
}

TEST_P(MemoryReuse, SparesAGraphThatIsKept) {
  const auto value = loss();
  const auto first = gradients(value, true), second = gradients(value, true), last = gradients(value);
  expect_equal(first, second);
  expect_equal(first, last);
}

TEST_P(MemoryReuse, SparesLogitsThatTheCallerKeeps) {
  auto ctx = model_->make_context();
  const auto logits = model_->forward(ctx, {{"input_ids", ids_}}).at("logits");
  const auto before = logits.detach().clone();
  gradients(token_cross_entropy(logits, targets_, 0.1));
  EXPECT_TRUE(logits.equal(before));
}

// Whether the gradient of x, which f reads and nobody else, comes in x's own memory.
bool takes_over(const std::function<Tensor(const Tensor&)>& f) {
  const auto leaf = at::randn({3, 4, 8}).set_requires_grad(true);
  auto x = leaf * 1;
  const void *own = x.const_data_ptr(), *found = nullptr;
  x.register_hook([&](const Tensor& gradient) { found = gradient.const_data_ptr(); });
  const auto y = f(x);
  x.reset();
  y.sum().backward();
  return found == own;
}

TEST(Gradients, TakeOverWhatNobodyNeeds) {
  const auto targets = at::randint(8, {3, 4}, at::kLong);
  EXPECT_TRUE(takes_over([](const Tensor& x) { return fused_gate(Gate::silu, x); }));
  EXPECT_TRUE(takes_over([&](const Tensor& x) { return token_cross_entropy(x, targets, 1); }));
  EXPECT_FALSE(takes_over([](const Tensor& x) { return at::silu(x); }));
}

INSTANTIATE_TEST_SUITE_P(Wirings, MemoryReuse, testing::Values("pre", "post", "sandwich"));

}  // namespace
}  // namespace formwork
