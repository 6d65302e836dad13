#include "formwork/wiring/wiring.h"

#include "formwork/core/reuse.h"
#include "formwork/linear/split_linear.h"

namespace formwork {

FORMWORK_KIND(Wiring);

ResidualStep::ResidualStep(Build& build, const LayerOptions& options)
    : options_(options), path_(build.path()) {
  // The table is asked before the axis is named: without a shortcut the stream keeps its axis.
  const bool cut = build.inventory().spec.linear.contains(build.name("shortcut"));
  out_ = cut ? build.stream(build.name("stream"), build.in.asked()) : build.in;
  build.out = out_;
  LinearNeed need;
  need.role = Role::shortcut, need.in = build.in, need.out = out_;
  need.init = init::orthogonal();
  shortcut_ = make_optional_linear(build, "shortcut", need);
}

void ResidualStep::set_body(Build build, const PartSpec& mixer, const PartSpec& channel) {
  if (mixer)
    body_ = make_mixer(build, mixer);
  else
    body_ = Registry<ChannelMixer>::make(build, channel), place_ = SplitPlace::channel;
  build.register_part(*body_);
  body_tap_ = build.tap("out", out_);
}

Tensor ResidualStep::body(Context& ctx, const Tensor& x, State* state) {
  return ctx.tap(body_tap_, state ? body_->append(ctx, x, state) : body_->forward(ctx, x));
}

Tensor ResidualStep::shortcut(Context& ctx, const Tensor& x) {
  return shortcut_ ? shortcut_->forward(ctx, x) : x;
}

Split ResidualStep::body(SplitPass& pass, const Split& x) {
  return pass.tap(body_tap_, pass.through(*body_, path_, x));
}

Split ResidualStep::shortcut(SplitPass& pass, const Split& x) {
  return shortcut_ ? through(pass, *shortcut_, x) : x;
}

Split ResidualStep::normed(SplitPass& pass, Norm& norm, const char* name, const Split& x) const {
  return pass.through(norm, path_ + "." + name, x);
}

Split ResidualStep::add(const SplitPass& pass, const Split& past, const Split& branch) const {
  return pass.repaired(past + branch, place_);
}

Tensor ResidualStep::regularize(Context& ctx, Tensor branch) {
  branch = ctx.dropout(path_ + ".dropout", branch, options_.dropout);
  if (!ctx.mode.train || options_.drop_path <= 0) return branch;
  const double keep = 1 - options_.drop_path;
  if (keep <= 0) return branch * 0;
  return branch *
         ctx.draw_bernoulli(path_ + ".drop_path", {branch.size(0), 1, 1}, keep, branch.options()).div_(keep);
}

Tensor ResidualStep::add(const Tensor& past, Tensor branch) {
  const bool fits = past.scalar_type() == branch.scalar_type() && past.sizes() == branch.sizes();
  return fits && only_held_by(branch, 1) ? branch.add_(past) : past + branch;
}

std::unique_ptr<Norm> ResidualStep::make_norm(const Build& build, const std::string& name,
                                              const Axis& axis) const {
  Build child = build.at(name);
  child.in = child.out = axis;
  return Registry<Norm>::make(child, options_.norm);
}

}  // namespace formwork
