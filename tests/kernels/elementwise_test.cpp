#include "formwork/kernels/cpu/elementwise.h"

#include "compare.h"
#include "kernels/every_target.h"

namespace formwork {
namespace {

Tensor expected(Elementwise function, const Tensor& x) {
  switch (function) {
    case Elementwise::relu:
      return at::relu(x);
    case Elementwise::relu_squared:
      return at::relu(x).square();
    case Elementwise::gelu:
      return at::gelu(x);
    case Elementwise::gelu_tanh:
      return at::gelu(x, "tanh");
    case Elementwise::silu:
      return at::silu(x);
    case Elementwise::sigmoid:
      return at::sigmoid(x);
    default:
      return x;
  }
}

TEST(Elementwise, AgreesWithATenAloneAndAsAGate) {
  at::manual_seed(1);
  for_every_target([] {
    for (const auto function :
         {Elementwise::identity, Elementwise::relu, Elementwise::relu_squared, Elementwise::gelu,
          Elementwise::gelu_tanh, Elementwise::silu, Elementwise::sigmoid})
      for (const int64_t width : {1, 19, 64}) {
        const auto both = at::randn({5, 2 * width}) * 4;
        auto y = at::empty({5, width});
        const float* x = raw<float>(both);
        const auto wide = both.to(at::kDouble);
        const auto value = expected(function, wide.narrow(1, 0, width));
        elementwise(function, 5, width, x, nullptr, 2 * width, raw<float>(y));
        expect_near<float>(y, value, "f(x)");
        elementwise(function, 5, width, x, x + width, 2 * width, raw<float>(y));
        expect_near<float>(y, value * wide.narrow(1, width, width), "f(x) * times");
      }
  });
}

}  // namespace
}  // namespace formwork
