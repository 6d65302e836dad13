#include "formwork/kernels/cpu/norm.h"

#include <gtest/gtest.h>

#include "compare.h"

namespace formwork {
namespace {

constexpr std::pair<int, int> kSizes[] = {{1, 1}, {3, 5}, {9, 64}, {400, 67}, {5, 300}};

}  // namespace

template <class T>
class NormTest : public ::testing::Test {
 protected:
  static const T* pointer(const at::Tensor& x) { return x.defined() ? raw<T>(x) : nullptr; }
};
TYPED_TEST_SUITE(NormTest, BothTypes);

TYPED_TEST(NormTest, RmsAgreesWithAutograd) {
  using T = TypeParam;
  for (auto [rows, width] : kSizes)
    for (bool gained : {false, true}) {
      const double divisor = width + 3, epsilon = 0.0009765625;
      const auto x = random_values<T>({rows, width}).requires_grad_(), dy = random_values<T>({rows, width});
      const auto passed = random_values<T>({rows, width});
      const auto gain = random_values<T>({width}).requires_grad_();
      const auto unit = x * at::rsqrt(x.square().sum(1, true) / divisor + epsilon);
      const auto expected = gained ? unit * gain : unit;
      ((expected * dy).sum() + (x * passed).sum()).backward();

      const auto weight = gained ? copy_as<T>(gain) : at::Tensor();
      const RmsNorm<T> norm{rows, width, static_cast<T>(divisor), static_cast<T>(epsilon),
                            this->pointer(weight)};
      const auto in = copy_as<T>(x), y = at::empty_like(in), dx = at::empty_like(in);
      const auto inverse = at::empty({rows}, in.options()), dgain = at::empty({width}, in.options());
      rms_norm_forward<T>(norm, raw<T>(in), raw<T>(y), raw<T>(inverse));
      expect_near<T>(y, expected, "y");
      const auto out = copy_as<T>(dy), beside = copy_as<T>(passed);
      rms_norm_backward<T>(norm, raw<T>(in), raw<T>(inverse), raw<T>(out), raw<T>(beside), raw<T>(dx),
                           gained ? raw<T>(dgain) : nullptr);
      expect_near<T>(dx, x.grad(), "dx", 2);
      if (gained) expect_near<T>(dgain, gain.grad(), "dgain", 4);
    }
}

TYPED_TEST(NormTest, LayerAgreesWithAutograd) {
  using T = TypeParam;
  for (auto [rows, width] : kSizes)
    for (bool gained : {false, true}) {
      const double epsilon = 0.0009765625;
      const auto x =
          random_values<T>({rows, width}).add_(3).to(scalar_type<T>()).to(at::kDouble).requires_grad_();
      const auto dy = random_values<T>({rows, width});
      const auto gain = random_values<T>({width}).requires_grad_(),
                 bias = random_values<T>({width}).requires_grad_();
      const auto expected = gained ? at::layer_norm(x, {width}, gain, bias, epsilon)
                                   : at::layer_norm(x, {width}, {}, {}, epsilon);
      expected.backward(dy);

      const auto in = copy_as<T>(x), out = copy_as<T>(dy), y = at::empty_like(in), dx = at::empty_like(in);
      const auto weight = gained ? copy_as<T>(gain) : at::Tensor(),
                 shift = gained ? copy_as<T>(bias) : at::Tensor();
      const auto mean = at::empty({rows}, in.options()), inverse = at::empty({rows}, in.options());
      const auto dgain = at::empty({width}, in.options()), dbias = at::empty({width}, in.options());
      const LayerNorm<T> norm{rows, width, static_cast<T>(epsilon), this->pointer(weight),
                              this->pointer(shift)};
      layer_norm_forward<T>(norm, raw<T>(in), raw<T>(y), raw<T>(mean), raw<T>(inverse));
      layer_norm_backward<T>(norm, raw<T>(in), raw<T>(mean), raw<T>(inverse), raw<T>(out), raw<T>(dx),
                             gained ? raw<T>(dgain) : nullptr, gained ? raw<T>(dbias) : nullptr);
      expect_near<T>(y, expected, "y", 4);
      expect_near<T>(dx, x.grad(), "dx", 50);
      if (gained) expect_near<T>(dgain, gain.grad(), "dgain", 10);
      if (gained) expect_near<T>(dbias, bias.grad(), "dbias", 4);
    }
}

}  // namespace formwork
