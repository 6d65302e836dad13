// Parallel wiring: x + f(norm(x)) + g(norm(x)), one norm for both.
#include "formwork/runtime/wiring/residual.h"

namespace formwork::runtime {
namespace {

// Token mixer and channel mixer side by side; the state is the token mixer's.
class Both final {
 public:
  Both(const Scope& scope, const PartSpec& mixer, const PartSpec& channel) {
    Scope first = scope.at("mixer"), second = scope.at("channel");
    mixer_ = Registry<Mixer>::make(first, mixer);
    channel_ = Registry<Channel>::make(second, channel);
  }
  std::unique_ptr<State> make_state(const StateOptions& options) const { return mixer_->make_state(options); }
  // z (+)= f(x) + g(y).
  void run(Pass& pass, State* state, In x, In y, Out z) const {
    mixer_->run(pass, state, x, z);
    channel_->run(pass, nullptr, y, {z.data, z.stride, true});
  }

 private:
  std::unique_ptr<Mixer> mixer_;
  std::unique_ptr<Channel> channel_;
};

class ParallelStep final : public ResidualStep {
 public:
  ParallelStep(Scope& scope, const ParallelOptions& options)
      : ResidualStep(scope, options), norm_(make_norm(scope, "norm", scope.in)) {
    if (options.separate_norms) channel_norm_ = make_norm(scope, "channel_norm", scope.in);
    both_ = std::make_unique<Both>(scope, options.mixer, options.channel);
  }
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return both_->make_state(options);
  }
  void run(Pass& pass, State* state, Stream& stream) const override {
    const Arena::Frame frame(pass.arena);
    const int64_t width = stream.width;
    const float* x = normed(pass, *norm_, stream.x, width);
    const float* beside = channel_norm_ ? normed(pass, *channel_norm_, stream.x, width) : x;
    shortcut(pass, stream);
    both_->run(pass, state, {x, width}, {beside, width}, {stream.x, stream.width, true});
  }

 private:
  std::unique_ptr<Norm> norm_, channel_norm_;
  std::unique_ptr<Both> both_;
};

class Parallel final : public Wiring {
 public:
  using Options = ParallelOptions;
  Parallel(Scope& scope, const Options& options) : out_(scope.in) {
    if (!options.mixer || !options.channel || options.cross)
      fail("{}: parallel wiring joins one token mixer and one channel mixer", scope.path());
    Scope child = scope.at("both");
    if (!child.resolve("both")) return;  // left out by the Spec
    step_ = place_step(
        child, [&](Scope& own) { return std::make_unique<ParallelStep>(own, options); }, out_);
  }
  std::vector<const Step*> steps() const override {
    return step_ ? std::vector<const Step*>{step_.get()} : std::vector<const Step*>();
  }
  Axis out() const override { return out_; }

 private:
  Axis out_;
  std::unique_ptr<Step> step_;
};

FORMWORK_PART(Wiring, Parallel, "parallel", "x + f(norm(x)) + g(norm(x))");

}  // namespace
}  // namespace formwork::runtime
