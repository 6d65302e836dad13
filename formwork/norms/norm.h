// Norms act on each token of a stream.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// Built with build.in, the axis it normalizes. output_tap() is where it delivers its result: the maps that
// read that tap may absorb the norm's gain and bias.
class Norm : public Part {
 public:
  static const char* kind() { return "norms"; }
  static const char* noun() { return "norm"; }
  explicit Norm(Build& build) : output_(build.tap("out", build.in)) {}
  Tensor forward(Context& ctx, const Tensor& x) { return ctx.tap(output_, normalize(ctx, x)); }
  Slot output_tap() const { return output_; }

 protected:
  virtual Tensor normalize(Context& ctx, const Tensor& x) = 0;
  void enter(Build& build, const std::string& type, const Json& options, const Param* gain,
             const Param* bias) const;

 private:
  Slot output_;
};

}  // namespace formwork
