// Gated memory with a skip: M(phi) = P phi + W_2 (s(W_0 phi) * W_1 phi), W_0 and W_1 [h, F], W_2 [dv, h], P
// as in mlp2. With a = W_0 phi, b = W_1 phi, r = W_2^T e and e = dL/dM:
//
//   dW_2 = e (s(a) * b)^T,  dW_0 = (s'(a) * b * r) phi^T,  dW_1 = (s(a) * r) phi^T
#include "formwork/mixers/fast_weights/bend.h"
#include "formwork/mixers/fast_weights/fast_memory.h"

namespace formwork {
namespace {

class GatedMemory final : public FastMemory {
 public:
  struct Options : DeepMemoryOptions {
    Options() { activation = "silu"; }
  };

  GatedMemory(Build& build, const Options& options)
      : FastMemory(build), bend_(bend_named(options.activation)) {
    const Axis hidden = build.axis("hidden", options.units(build.out.asked()), Group::permute);
    hidden_ = hidden.asked();
    // Features have norm 1, so pre-activations begin with variance 1.
    add_weight(build, "gate", hidden, build.in, 1, true);
    add_weight(build, "up", hidden, build.in, 1, true);
    add_weight(build, "down", build.out, hidden, 1 / std::sqrt(static_cast<double>(hidden.asked())), false);
    restrict_skip(build);
  }
  // Hidden units have a mean square below 1/2; the rest is what comes back through the first layer.
  double curvature(double) const override { return 0.5 * static_cast<double>(hidden_) + 2; }
  Tensor read(const Apply& apply, const Tensor& phi) const override {
    return skip(phi) + apply(2, bend_.value(apply(0, phi)) * apply(1, phi));
  }
  std::vector<RankOne> gradients(const std::vector<Tensor>& weights, const Tensor& keys, const Tensor& writes,
                                 const OutputError& error) const override {
    const auto before = times(weights[0], keys), gate = bend_.value(before), up = times(weights[1], keys);
    const auto hidden = gate * up;
    const auto e = error(skip(keys) + times(weights[2], hidden));
    const auto r = transposed_times(weights[2], e);
    return {{r * up * bend_.slope(before), writes}, {r * gate, writes}, {e, hidden}};
  }

 private:
  const Bend& bend_;
  int64_t hidden_ = 0;
};

FORMWORK_PART(FastMemory, GatedMemory, "gated", "two layers, the first of them gated, beside a skip");

}  // namespace
}  // namespace formwork
