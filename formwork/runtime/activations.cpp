// The activations of formwork/activations/elementwise.cpp, by the same names.
#include "formwork/kernels/cpu/elementwise.h"
#include "formwork/runtime/part.h"

namespace formwork::runtime {
namespace {

template <Elementwise function>
class Function final : public Activation {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Function(Scope&, const Options&) {}
  void run(int64_t rows, int64_t width, const float* x, const float* times, int64_t stride,
           float* y) const override {
    elementwise(function, rows, width, x, times, stride, y);
  }
};

using Relu = Function<Elementwise::relu>;
using ReluSquared = Function<Elementwise::relu_squared>;
using Gelu = Function<Elementwise::gelu>;
using GeluTanh = Function<Elementwise::gelu_tanh>;
using Silu = Function<Elementwise::silu>;
using Sigmoid = Function<Elementwise::sigmoid>;
using Tanh = Function<Elementwise::tanh>;
using Identity = Function<Elementwise::identity>;

FORMWORK_PART(Activation, Relu, "relu", "max(x, 0)");
FORMWORK_PART(Activation, ReluSquared, "relu_squared", "max(x, 0)^2");
FORMWORK_PART(Activation, Gelu, "gelu", "x Phi(x), exact");
FORMWORK_PART(Activation, GeluTanh, "gelu_tanh", "x Phi(x), tanh approximation");
FORMWORK_PART(Activation, Silu, "silu", "x sigmoid(x)");
FORMWORK_PART(Activation, Sigmoid, "sigmoid", "1 / (1 + exp(-x))");
FORMWORK_PART(Activation, Tanh, "tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))");
FORMWORK_PART(Activation, Identity, "identity", "x");

}  // namespace
}  // namespace formwork::runtime
