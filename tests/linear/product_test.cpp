#include "formwork/linear/product.h"

#include <gtest/gtest.h>

#include "formwork/kernels/cpu/few_rows.h"

namespace formwork {
namespace {

// With and without gradients, few rows and many, dense and strided: one product.
TEST(LinearProduct, IsTheSameWhicheverKernelTakesIt) {
  at::manual_seed(1);
  const auto weight = at::randn({33, 40}), bias = at::randn({33});
  for (const int64_t rows : {int64_t{0}, int64_t{1}, int64_t{6}, kFewRows, kFewRows + 1}) {
    const auto wide = at::randn({rows, 1, 50});
    for (const auto& x : {wide.narrow(-1, 3, 40), wide.narrow(-1, 3, 40).contiguous()}) {
      const auto expected = at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
      const at::NoGradGuard guard;
      const auto found = linear_product(x, weight, bias), bare = linear_product(x, weight, {});
      ASSERT_EQ(found.sizes(), expected.sizes());
      EXPECT_TRUE(at::allclose(found.to(at::kDouble), expected, 1e-5, 1e-5)) << rows;
      EXPECT_TRUE(at::allclose((bare + bias).to(at::kDouble), expected, 1e-5, 1e-5)) << rows;
    }
  }
}

TEST(LinearProduct, HasGradientsWhereTheyAreWanted) {
  const auto x = at::ones({1, 3}).requires_grad_(), weight = at::full({2, 3}, 2.0);
  linear_product(x, weight, {}).sum().backward();
  EXPECT_TRUE(x.grad().equal(at::full({1, 3}, 4.0)));
}

}  // namespace
}  // namespace formwork
