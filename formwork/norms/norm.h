// Norms act on each token of a stream.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// x for the way past a norm and whatever the norm feeds, and norm(x).
struct NormSplit {
  Tensor past, normed;
};

// Built with build.in, the axis it normalizes. output_tap() is where it delivers its result: the maps that
// read that tap may absorb the norm's gain and bias.
class Norm : public Part {
 public:
  static const char* kind() { return "norms"; }
  static const char* noun() { return "norm"; }
  explicit Norm(Build& build) : output_(build.tap("out", build.in)) {}
  Tensor forward(Context& ctx, const Tensor& x) { return ctx.tap(output_, normalize(ctx, x)); }
  // For wirings in which x also goes past the norm: a norm may let the gradients of both ways meet in its own
  // backward pass, where adding them costs nothing.
  NormSplit split(Context& ctx, const Tensor& x) {
    auto both = normalize_split(ctx, x);
    both.normed = ctx.tap(output_, std::move(both.normed));
    return both;
  }
  Slot output_tap() const { return output_; }

 protected:
  virtual Tensor normalize(Context& ctx, const Tensor& x) = 0;
  virtual NormSplit normalize_split(Context& ctx, const Tensor& x) { return {x, normalize(ctx, x)}; }
  void enter(Build& build, const std::string& type, const Json& options, const Param* gain,
             const Param* bias) const;

 private:
  Slot output_;
};

}  // namespace formwork
