#include "formwork/kernels/cpu/activation.h"

#include <gtest/gtest.h>

#include "compare.h"

namespace formwork {
namespace {

at::Tensor act(Gate gate, const at::Tensor& x) {
  if (gate == Gate::sigmoid) return at::sigmoid(x);
  if (gate == Gate::silu) return at::silu(x);
  if (gate == Gate::gelu) return at::gelu(x);
  return at::relu(x);
}

constexpr Gate kGates[] = {Gate::sigmoid, Gate::silu, Gate::gelu, Gate::relu};

}  // namespace

template <class T>
class GatedTest : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(1); }  // the same inputs, so the same rounding, in every run
};
TYPED_TEST_SUITE(GatedTest, BothTypes);

TYPED_TEST(GatedTest, AgreesWithAutograd) {
  using T = TypeParam;
  for (Gate gate : kGates)
    for (auto [rows, width] : {std::pair{3, 5}, {7, 64}, {300, 67}, {1, 1}}) {
      const auto x = random_values<T>({rows, 2 * width}, 3).requires_grad_();
      const auto dy = random_values<T>({rows, width});
      const auto halves = x.chunk(2, 1);
      const auto expected = act(gate, halves[0]) * halves[1];
      expected.backward(dy);
      const auto in = copy_as<T>(x), out = copy_as<T>(dy), y = at::empty_like(out), dx = at::empty_like(in);
      gated_forward<T>(gate, rows, width, raw<T>(in), raw<T>(y));
      gated_backward<T>(gate, rows, width, raw<T>(in), raw<T>(out), raw<T>(dx));
      expect_near<T>(y, expected, "y");
      expect_near<T>(dx, x.grad(), "dx");
      gated_backward<T>(gate, rows, width, raw<T>(in), raw<T>(out), raw<T>(in));
      EXPECT_TRUE(in.equal(dx)) << "in place";
    }
}

// Element by element, tails included: each value keeps six digits.
TEST(Gated, FloatValuesKeepTheirRelativeAccuracy) {
  const auto gates = at::linspace(-9, 12, 4001, at::kFloat);
  const auto x = at::stack({gates, at::ones_like(gates)}, 1).contiguous();
  for (Gate gate : kGates) {
    const auto y = at::empty({4001}, at::kFloat);
    gated_forward<float>(gate, 4001, 1, raw<float>(x), raw<float>(y));
    const auto z = gates.to(at::kDouble);
    const auto exact = gate == Gate::gelu ? z * at::erfc(z * -M_SQRT1_2) * 0.5 : act(gate, z);
    const double error =
        ((y.to(at::kDouble) - exact) / exact.abs().clamp_min(1e-30)).abs().max().item<double>();
    EXPECT_LE(error, gate == Gate::gelu ? 5e-6 : 1e-6) << static_cast<int>(gate);
  }
}

TEST(Gated, LetsNotANumberThroughAndSaturates) {
  for (Gate gate : kGates) {
    const std::vector<float> x = {NAN, 1, -200, 1, 200, 1};
    std::vector<float> y(3);
    gated_forward<float>(gate, 3, 1, x.data(), y.data());
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[2], gate == Gate::sigmoid ? 1 : 200);
  }
}

TEST(Gated, Bfloat16RoundsOnlyWhatItStores) {
  at::manual_seed(2);
  for (Gate gate : kGates)
    for (const int64_t width : {1, 5, 64, 67}) {
      const auto x = (at::randn({9, 2 * width}) * 3).to(at::kBFloat16),
                 dy = at::randn({9, width}).to(at::kBFloat16);
      const auto y = at::empty_like(dy), dx = at::empty_like(x);
      gated_forward<bfloat16>(gate, 9, width, static_cast<bfloat16*>(x.data_ptr()),
                              static_cast<bfloat16*>(y.data_ptr()));
      gated_backward<bfloat16>(gate, 9, width, static_cast<bfloat16*>(x.data_ptr()),
                               static_cast<bfloat16*>(dy.data_ptr()), static_cast<bfloat16*>(dx.data_ptr()));
      const auto wide = x.to(at::kFloat), wide_dy = dy.to(at::kFloat), exact = at::empty_like(wide_dy),
                 exact_dx = at::empty_like(wide);
      gated_forward<float>(gate, 9, width, raw<float>(wide), raw<float>(exact));
      gated_backward<float>(gate, 9, width, raw<float>(wide), raw<float>(wide_dy), raw<float>(exact_dx));
      EXPECT_TRUE(y.equal(exact.to(at::kBFloat16))) << static_cast<int>(gate) << " width " << width;
      EXPECT_TRUE(dx.equal(exact_dx.to(at::kBFloat16))) << static_cast<int>(gate) << " width " << width;
    }
}

}  // namespace formwork
