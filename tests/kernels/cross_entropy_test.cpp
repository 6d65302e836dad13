#include "formwork/kernels/cpu/cross_entropy.h"

#include <gtest/gtest.h>

#include "compare.h"
#include "formwork/core/error.h"

namespace formwork {

template <class T>
class CrossEntropyTest : public ::testing::Test {};
TYPED_TEST_SUITE(CrossEntropyTest, BothTypes);

TYPED_TEST(CrossEntropyTest, AgreesWithAutograd) {
  using T = TypeParam;
  for (auto [rows, classes] : {std::pair{1, 1}, {4, 7}, {6, 64}, {5, 5003}}) {
    const auto x = random_values<T>({rows, classes}, 8).requires_grad_();
    auto targets = at::randint(classes, {rows}, at::kLong);
    if (rows > 1) targets[1].fill_(-1);
    const auto expected = at::cross_entropy_loss(x, targets, {}, at::Reduction::None, -1);
    (expected.sum() * 0.25).backward();

    const CrossEntropy shape{rows, classes, classes, -1};
    const auto in = copy_as<T>(x), fused = copy_as<T>(x);
    const auto losses = at::empty({rows}, in.options()), logsumexp = at::empty_like(losses);
    const auto* target = targets.data_ptr<std::int64_t>();
    cross_entropy_forward<T>(shape, raw<T>(in), target, raw<T>(losses), raw<T>(logsumexp));
    expect_near<T>(losses, expected, "losses");
    const auto gradient = at::empty_like(in);
    cross_entropy_gradient<T>(shape, raw<T>(in), target, raw<T>(logsumexp), T(0.25), raw<T>(gradient));
    expect_near<T>(gradient, x.grad(), "gradient", 4);
    EXPECT_TRUE(in.equal(copy_as<T>(x)));
    cross_entropy_gradient<T>(shape, raw<T>(in), target, raw<T>(logsumexp), T(0.25), raw<T>(in));
    EXPECT_TRUE(in.equal(gradient)) << "in place";
    losses.fill_(9);
    cross_entropy_fused<T>(shape, raw<T>(fused), target, raw<T>(losses), T(0.25));
    expect_near<T>(losses, expected, "fused losses");
    EXPECT_TRUE(fused.equal(in));
  }
}

TEST(CrossEntropy, RefusesATargetThatIsNoClassAndLeavesThePaddingAlone) {
  std::vector<float> logits = {0, -INFINITY, 0, 7};
  const CrossEntropy shape{1, 3, 4};
  float loss = 0;
  std::int64_t target = 3;
  EXPECT_THROW(cross_entropy_fused<float>(shape, logits.data(), &target, &loss, 1), Error);
  target = 0;
  cross_entropy_fused<float>(shape, logits.data(), &target, &loss, 1);
  EXPECT_NEAR(loss, std::log(2.0), 1e-6);
  EXPECT_EQ(logits[1], 0);
  EXPECT_EQ(logits[3], 7);
}

}  // namespace formwork
