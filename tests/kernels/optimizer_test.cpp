#include "formwork/kernels/cpu/optimizer.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "compare.h"

namespace formwork {

template <class T>
class OptimizerTest : public ::testing::Test {
 protected:
  at::Tensor p = random_values<T>({20003}), m = random_values<T>({20003}),
             v = random_values<T>({20003}).square();
  at::Tensor g = random_values<T>({20003});
};
TYPED_TEST_SUITE(OptimizerTest, BothTypes);

TYPED_TEST(OptimizerTest, AdamWAgreesWithTheFusedOperator) {
  using T = TypeParam;
  auto p = copy_as<T>(this->p), m = copy_as<T>(this->m), v = copy_as<T>(this->v), g = copy_as<T>(this->g);
  std::vector<at::Tensor> ps = {this->p.clone()}, gs = {this->g * 0.5}, ms = {this->m.clone()},
                          vs = {this->v.clone()};
  for (std::int64_t step = 1; step <= 3; ++step) {
    adamw_step<T>({0.01, 0.9, 0.95, 1e-6, 0.1, step, 0.5}, p.numel(), raw<T>(p), raw<T>(g), raw<T>(m),
                  raw<T>(v));
    at::_fused_adamw_(ps, gs, ms, vs, {}, {at::full({}, static_cast<double>(step))}, 0.01, 0.9, 0.95, 0.1,
                      1e-6, false, false);
  }
  expect_near<T>(p, ps[0], "p");
  expect_near<T>(m, ms[0], "m");
  expect_near<T>(v, vs[0], "v");
}

TYPED_TEST(OptimizerTest, SgdAndLionFollowTheirFormulas) {
  using T = TypeParam;
  for (bool nesterov : {false, true}) {
    auto p = copy_as<T>(this->p), m = copy_as<T>(this->m), g = copy_as<T>(this->g);
    sgd_step<T>({0.1, 0.9, 0.01, nesterov, 0.5}, p.numel(), raw<T>(p), raw<T>(g), raw<T>(m));
    const auto slope = this->g * 0.5 + this->p * 0.01, moment = this->m * 0.9 + slope;
    expect_near<T>(m, moment, "momentum");
    expect_near<T>(p, this->p - (nesterov ? slope + moment * 0.9 : moment) * 0.1, "p");
  }
  this->m.narrow(0, 0, 3).zero_();
  this->g.narrow(0, 0, 3).zero_();
  auto p = copy_as<T>(this->p), m = copy_as<T>(this->m), g = copy_as<T>(this->g);
  lion_step<T>({0.1, 0.9, 0.98, 0.01, 2}, p.numel(), raw<T>(p), raw<T>(g), raw<T>(m));
  const auto sign = (this->m * 0.9 + this->g * 2 * 0.1).sign();
  expect_near<T>(p, this->p * (1 - 0.001) - sign * 0.1, "lion p");
  expect_near<T>(m, this->m * 0.98 + this->g * 2 * 0.02, "lion m");
}

TYPED_TEST(OptimizerTest, SumOfSquaresRepeatsExactlyOnAnyThreads) {
  using T = TypeParam;
  const auto x = copy_as<T>(random_values<T>({200001}));
  const double once = sum_of_squares<T>(x.numel(), raw<T>(x));
  EXPECT_NEAR(once, x.to(at::kDouble).square().sum().template item<double>(), once * tolerance<T>());
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  EXPECT_EQ(sum_of_squares<T>(x.numel(), raw<T>(x)), once);
  at::set_num_threads(before);
}

}  // namespace formwork
