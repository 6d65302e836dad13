#include "formwork/runtime/wiring/residual.h"

#include <utility>

namespace formwork::runtime {

ResidualStep::ResidualStep(Scope& scope, const LayerOptions& options) : options_(options) {
  // Without a shortcut the stream keeps its axis.
  const bool cut = scope.spec().linear.contains(scope.name("shortcut"));
  out_ = cut ? scope.global_axis(scope.name("stream"), scope.in.asked()) : scope.in;
  scope.out = out_;
  shortcut_ = make_optional_linear(scope, "shortcut", {scope.in, out_});
}

void ResidualStep::set_body(const Scope& scope, const PartSpec& mixer, const PartSpec& channel) {
  Scope own = scope;
  if (!mixer) {
    body_ = Registry<Channel>::make(own, channel);
    return;
  }
  if (mixer.options.contains("along")) refuse_form(scope.path(), "option 'along'");
  body_ = Registry<Mixer>::make(own, mixer);
}

std::unique_ptr<Norm> ResidualStep::make_norm(const Scope& scope, const std::string& name,
                                              const Axis& axis) const {
  Scope child = scope.at(name);
  child.in = child.out = axis;
  return Registry<Norm>::make(child, options_.norm);
}

void ResidualStep::shortcut(Pass& pass, Stream& stream) const {
  if (!shortcut_) return;
  shortcut_->run(pass, pass.rows, {stream.x, stream.width}, {stream.spare, out_.size});
  std::swap(stream.x, stream.spare);
  stream.width = out_.size;
}

std::unique_ptr<Step> other_step(const Scope& scope, const std::string& why, Axis& out) {
  auto placed = scope.others()->step(scope.path(), why);
  out = scope.global_axis(placed.out.name, placed.out.asked());
  return std::move(placed.step);
}

float* ResidualStep::normed(Pass& pass, const Norm& norm, const float* x, int64_t width) {
  float* y = pass.arena.take(width);
  norm.run(pass.rows, x, y, pass.arena.take(1));
  return y;
}

}  // namespace formwork::runtime
