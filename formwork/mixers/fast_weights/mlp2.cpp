// Deep memory with a skip: M(phi) = P phi + W_1 s(W_0 phi), W_0 [h, F], W_1 [dv, h], P the identity where
// F = dv and otherwise the first dv features. Both start where training puts them.
//
//   dW_1 = e s(W_0 phi)^T,  dW_0 = (s'(W_0 phi) * W_1^T e) phi^T,   e = dL/dM
#include "formwork/mixers/fast_weights/bend.h"
#include "formwork/mixers/fast_weights/fast_memory.h"

namespace formwork {
namespace {

class Mlp2Memory final : public FastMemory {
 public:
  using Options = DeepMemoryOptions;

  Mlp2Memory(Build& build, const Options& options)
      : FastMemory(build), bend_(bend_named(options.activation)) {
    const Axis hidden = build.axis("hidden", options.units(build.out.asked()), Group::permute);
    hidden_ = hidden.asked();
    // Features have norm 1, so pre-activations begin with variance 1.
    add_weight(build, "up", hidden, build.in, 1, true);
    add_weight(build, "down", build.out, hidden, 1 / std::sqrt(static_cast<double>(hidden.asked())), false);
    restrict_skip(build);
  }
  // Hidden units have a mean square below 1/2; the rest is what comes back through the first layer.
  double curvature(double) const override { return 0.5 * static_cast<double>(hidden_) + 2; }
  Tensor read(const Apply& apply, const Tensor& phi) const override {
    return skip(phi) + apply(1, bend_.value(apply(0, phi)));
  }
  std::vector<RankOne> gradients(const std::vector<Tensor>& weights, const Tensor& keys, const Tensor& writes,
                                 const OutputError& error) const override {
    const auto before = times(weights[0], keys), hidden = bend_.value(before);
    const auto e = error(skip(keys) + times(weights[1], hidden));
    return {{transposed_times(weights[1], e) * bend_.slope(before), writes}, {e, hidden}};
  }

 private:
  const Bend& bend_;
  int64_t hidden_ = 0;
};

FORMWORK_PART(FastMemory, Mlp2Memory, "mlp2", "two layers beside a skip");

}  // namespace
}  // namespace formwork
