// One residual sub-block, body and shortcut; wirings differ in where its norms stand.
#pragma once
#include "formwork/runtime/wiring/wiring.h"

namespace formwork::runtime {

class ResidualStep : public Step {
 public:
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return body_->make_state(options);
  }
  const Axis& out() const { return out_; }

 protected:
  // Finds the stream's axis after this step; `scope` becomes the step's own.
  ResidualStep(Scope& scope, const LayerOptions& options);
  void set_body(const Scope& scope, const PartSpec& mixer, const PartSpec& channel);
  std::unique_ptr<Norm> make_norm(const Scope& scope, const std::string& name, const Axis& axis) const;
  // y (+)= body(x).
  void body(Pass& pass, State* state, In x, Out y) const { body_->run(pass, state, x, y); }
  // The stream becomes what goes past the body.
  void shortcut(Pass& pass, Stream& stream) const;
  // The norm of rows, in a buffer of the pass.
  static float* normed(Pass& pass, const Norm& norm, const float* x, int64_t width);

 private:
  LayerOptions options_;
  Axis out_;
  std::unique_ptr<LinearMap> shortcut_;
  std::unique_ptr<Layer> body_;
};

// The step that the program has in place of one without a runtime form; `out` becomes the axis of the stream
// after it.
std::unique_ptr<Step> other_step(const Scope& scope, const std::string& why, Axis& out);

// The step that `make` builds in a scope of its own, a ResidualStep, or the program's other one.
template <class Make>
std::unique_ptr<Step> place_step(const Scope& scope, const Make& make, Axis& out) {
  const auto* others = scope.others();
  if (const std::string why = others ? others->why_not(scope.path()) : ""; !why.empty())
    return other_step(scope, why, out);
  try {
    Scope own = scope;
    auto step = make(own);
    out = step->out();
    return step;
  } catch (const NoRuntimeForm& error) {
    if (!others) throw;
    return other_step(scope, error.what(), out);
  }
}

// A wiring that makes one step of type S for each of mixer and channel.
template <class S>
class ResidualWiring final : public StepList {
 public:
  struct Options : LayerOptions {};
  ResidualWiring(Scope& scope, const Options& options) : StepList(scope.in) {
    if (options.cross) refuse_form(scope.at("cross").path(), "a second token mixer");
    add(scope, "mixer", options, options.mixer, {});
    add(scope, "channel", options, {}, options.channel);
  }

 private:
  void add(const Scope& scope, const char* name, const LayerOptions& options, const PartSpec& mixer,
           const PartSpec& channel) {
    Scope child = scope.at(name);
    if (!child.resolve(mixer ? mixer : channel)) return;
    child.in = child.out = out_;
    steps_.push_back(place_step(
        child, [&](Scope& own) { return std::make_unique<S>(own, options, mixer, channel); }, out_));
  }
};

}  // namespace formwork::runtime
