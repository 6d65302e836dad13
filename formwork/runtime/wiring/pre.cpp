// Pre-norm wiring: x + f(norm(x)); sandwich wiring: x + norm_2(f(norm_1(x))).
#include "formwork/runtime/wiring/residual.h"

namespace formwork::runtime {
namespace {

class PreStep final : public ResidualStep {
 public:
  PreStep(Scope& scope, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(scope, options), norm_(make_norm(scope, "norm", scope.in)) {
    set_body(scope, mixer, channel);
  }
  void run(Pass& pass, State* state, Stream& stream) const override {
    const Arena::Frame frame(pass.arena);
    const int64_t width = stream.width;
    const float* x = normed(pass, *norm_, stream.x, width);
    shortcut(pass, stream);
    body(pass, state, {x, width}, {stream.x, stream.width, true});
  }

 private:
  std::unique_ptr<Norm> norm_;
};

class SandwichStep final : public ResidualStep {
 public:
  SandwichStep(Scope& scope, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(scope, options), norm_(make_norm(scope, "norm", scope.in)) {
    set_body(scope, mixer, channel);
    after_ = make_norm(scope, "norm_after", scope.out);
  }
  void run(Pass& pass, State* state, Stream& stream) const override {
    const Arena::Frame frame(pass.arena);
    const int64_t width = stream.width, wide = out().size;
    const float* x = normed(pass, *norm_, stream.x, width);
    float* y = pass.arena.take(wide);
    body(pass, state, {x, width}, {y, wide});
    after_->run(pass.rows, y, y, pass.arena.take(1));
    shortcut(pass, stream);
    for (int64_t i = 0; i < pass.rows * wide; ++i) stream.x[i] += y[i];
  }

 private:
  std::unique_ptr<Norm> norm_, after_;
};

using Pre = ResidualWiring<PreStep>;
using Sandwich = ResidualWiring<SandwichStep>;
FORMWORK_PART(Wiring, Pre, "pre", "x + f(norm(x))");
FORMWORK_PART(Wiring, Sandwich, "sandwich", "x + norm_2(f(norm_1(x)))");

}  // namespace
}  // namespace formwork::runtime
