#include "formwork/kernels/cpu/float_product.h"

#include <gtest/gtest.h>

namespace formwork {
namespace {

// a [m, k] b [n, k]^T through the kernel, with operands as they lie or turned.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, bool a_turned, bool b_turned,
                   const at::Tensor& bias = {}, const at::Tensor& before = {}) {
  const auto lay = [](const at::Tensor& x, bool turned) {
    // Wider lines than needed: strides are not sizes.
    const auto lines = (turned ? x.t() : x).contiguous();
    return at::constant_pad_nd(lines, {0, 3}, NAN).contiguous();
  };
  const auto left = lay(a, a_turned), right = lay(b, b_turned);
  auto c = at::full({a.size(0), b.size(0) + 5}, 7.0f);
  if (before.defined()) c.narrow(1, 0, b.size(0)).copy_(before);
  float_product({{left.const_data_ptr<float>(), a.size(0), left.size(1), a_turned},
                 {right.const_data_ptr<float>(), b.size(0), right.size(1), b_turned},
                 a.size(1),
                 c.mutable_data_ptr<float>(),
                 c.size(1),
                 bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                 before.defined()});
  EXPECT_TRUE(c.narrow(1, b.size(0), 5).eq(7).all().item<bool>()) << "written beyond the columns";
  return c.narrow(1, 0, b.size(0));
}

// The largest error in units of the last place of the sums of sizes |a| |b|.
double error_of(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b) {
  const auto exact = a.to(at::kDouble).matmul(b.to(at::kDouble).t());
  const auto size = a.to(at::kDouble).abs().matmul(b.to(at::kDouble).abs().t());
  return ((c.to(at::kDouble) - exact).abs() / size).max().item<double>() * 0x1p24;
}

class FloatProduct : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_float_product()) GTEST_SKIP() << "SKIPPED: this processor has no AMX tiles";
    at::manual_seed(1);
  }
};

TEST_F(FloatProduct, IsAsExactAsFloat32) {
  for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{64, 64, 64},
                                                                   {1, 1, 1},
                                                                   {17, 33, 31},
                                                                   {33, 16, 48},
                                                                   {100, 47, 200},
                                                                   {32, 300, 77},
                                                                   {40, 40, 5000}}) {
    const auto a = at::randn({m, k}), b = at::randn({n, k});
    const double plain = error_of(a.matmul(b.t()), a, b);
    for (const bool a_turned : {false, true})
      for (const bool b_turned : {false, true})
        EXPECT_LT(error_of(product(a, b, a_turned, b_turned), a, b), 1.5 * plain + 2)
            << m << " " << n << " " << k << " " << a_turned << b_turned << " (float32: " << plain << ")";
  }
}

TEST_F(FloatProduct, KeepsSmallAndLargeValues) {
  const auto a = at::randn({40, 96}), b = at::randn({50, 96});
  const auto plain = product(a, b, false, false);
  for (const float size : {0x1p-60f, 0x1p60f}) {
    const auto scaled = product(a * size, b, false, false);
    EXPECT_TRUE(at::equal(scaled, plain * size));
  }
  EXPECT_EQ(product(at::zeros({40, 96}), b, false, false).abs().max().item<float>(), 0);
}

TEST_F(FloatProduct, AddsToWhatIsThereAndABias) {
  for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{70, 33, 40}, {33, 70, 4100}}) {
    const auto a = at::randn({m, k}), b = at::randn({n, k}), bias = at::randn({n}),
               before = at::randn({m, n});
    const auto plain = product(a, b, false, false);
    EXPECT_LT((product(a, b, false, false, bias) - (plain + bias)).abs().max().item<float>(), 1e-4);
    EXPECT_LT((product(a, b, false, false, bias, before) - (before + plain + bias)).abs().max().item<float>(),
              1e-4);
  }
}

TEST_F(FloatProduct, ARowDoesNotDependOnItsNeighbours) {
  const auto a = at::randn({160, 300}), b = at::randn({90, 300});
  const auto together = product(a, b, false, false);
  for (const int64_t rows : {1, 32, 100})  // on either side of the number of columns
    EXPECT_TRUE(at::equal(product(a.narrow(0, 7, rows), b, false, false), together.narrow(0, 7, rows)));
}

TEST_F(FloatProduct, ValuesThatAreNotFiniteGiveNan) {
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    auto a = at::randn({40, 64});
    a[3][5] = bad;
    const auto c = product(a, at::randn({40, 64}), false, false);
    EXPECT_TRUE(c[3].isnan().all().item<bool>());
    EXPECT_EQ(c.isnan().sum().item<int64_t>(), 40);
  }
}

}  // namespace
}  // namespace formwork
