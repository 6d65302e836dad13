// Post-norm wiring: norm(x + f(x)).
#include "formwork/runtime/wiring/residual.h"

namespace formwork::runtime {
namespace {

class PostStep final : public ResidualStep {
 public:
  PostStep(Scope& scope, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(scope, options), norm_(make_norm(scope, "norm", scope.out)) {
    set_body(scope, mixer, channel);
  }
  void run(Pass& pass, State* state, Stream& stream) const override {
    const Arena::Frame frame(pass.arena);
    const int64_t wide = out().size;
    // f reads the stream to its end before anything is added to it.
    float* branch = pass.arena.take(wide);
    body(pass, state, {stream.x, stream.width}, {branch, wide});
    shortcut(pass, stream);
    for (int64_t i = 0; i < pass.rows * wide; ++i) stream.x[i] += branch[i];
    norm_->run(pass.rows, stream.x, stream.x, pass.arena.take(1));
  }

 private:
  std::unique_ptr<Norm> norm_;
};

using Post = ResidualWiring<PostStep>;
FORMWORK_PART(Wiring, Post, "post", "norm(x + f(x))");

}  // namespace
}  // namespace formwork::runtime
