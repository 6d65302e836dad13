// The elementwise activations of transformers: ReLU, squared ReLU (So et al., 2021), GELU (Hendrycks and
// Gimpel, 2016; exact and tanh form), SiLU (Elfwing et al., 2017), sigmoid (the gate of GLU), tanh, identity.
#include "formwork/activations/activation.h"
#include "formwork/activations/gated.h"

namespace formwork {

FORMWORK_KIND(Activation);

namespace {

struct NoOptions {
  void describe(Fields&) {}
};

template <Tensor (*function)(const Tensor&), Group group = Group::permute>
class Elementwise final : public Activation {
 public:
  using Options = NoOptions;
  Elementwise(Build&, const Options&) {}
  Tensor forward(Context&, const Tensor& x) override { return function(x); }
  Group symmetry() const override { return group; }
};

// Those whose gated form has a kernel.
template <Tensor (*function)(const Tensor&), Gate kernel>
class WithGate final : public Activation {
 public:
  using Options = NoOptions;
  WithGate(Build&, const Options&) {}
  Tensor forward(Context&, const Tensor& x) override { return function(x); }
  Tensor gate(Context& ctx, const Tensor& x) override {
    return fits_fused_gate(ctx, x) ? fused_gate(kernel, x) : Activation::gate(ctx, x);
  }
};

Tensor relu(const Tensor& x) { return at::relu(x); }
Tensor relu_squared(const Tensor& x) { return at::relu(x).square(); }
Tensor gelu(const Tensor& x) { return at::gelu(x); }
Tensor gelu_tanh(const Tensor& x) { return at::gelu(x, "tanh"); }
Tensor silu(const Tensor& x) { return at::silu(x); }
Tensor sigmoid(const Tensor& x) { return at::sigmoid(x); }
Tensor tanh(const Tensor& x) { return at::tanh(x); }
Tensor identity(const Tensor& x) { return x; }

using Relu = WithGate<relu, Gate::relu>;
using ReluSquared = Elementwise<relu_squared>;
using Gelu = WithGate<gelu, Gate::gelu>;
using GeluTanh = Elementwise<gelu_tanh>;
using Silu = WithGate<silu, Gate::silu>;
using Sigmoid = WithGate<sigmoid, Gate::sigmoid>;
using Tanh = Elementwise<tanh>;
using Identity = Elementwise<identity, Group::invertible>;

FORMWORK_PART(Activation, Relu, "relu", "max(x, 0)");
FORMWORK_PART(Activation, ReluSquared, "relu_squared", "max(x, 0)^2");
FORMWORK_PART(Activation, Gelu, "gelu", "x Phi(x), exact");
FORMWORK_PART(Activation, GeluTanh, "gelu_tanh", "x Phi(x), tanh approximation");
FORMWORK_PART(Activation, Silu, "silu", "x sigmoid(x)");
FORMWORK_PART(Activation, Sigmoid, "sigmoid", "1 / (1 + exp(-x))");
FORMWORK_PART(Activation, Tanh, "tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))");
FORMWORK_PART(Activation, Identity, "identity", "x");

}  // namespace
}  // namespace formwork
