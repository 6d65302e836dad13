// The stack of layers that decoder, encoder and encoder-decoder share: steps over the residual stream and a
// final norm.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/models/model.h"
#include "formwork/models/tower_options.h"
#include "formwork/wiring/wiring.h"

namespace formwork {

class Stack {
 public:
  // build.in: the stream's axis after the stem. `norm` absent: no final norm (post-norm wirings).
  Stack(Build build, const std::vector<PartSpec>& layers, const PartSpec& norm);

  // x [B, T, D] through steps [first, last).
  Tensor run(Context& ctx, int64_t first, int64_t last, Tensor x);
  Tensor append(Context& ctx, Tensor x, ModelState& state);
  Tensor finish(Context& ctx, const Tensor& x) { return norm_ ? norm_->forward(ctx, x) : x; }
  void make_states(const StateOptions& options, ModelState& state) const;

  std::vector<std::string> names() const;
  int64_t size() const { return static_cast<int64_t>(steps_.size()); }
  const Axis& out() const { return out_; }
  Slot output_tap() const { return norm_ ? norm_->output_tap() : -1; }

 private:
  bool skipped(const Context& ctx, const Step& step) const {
    return step.loop > 0 && step.loop >= ctx.choice("loops", step.loop + 1);
  }

  std::vector<std::unique_ptr<Wiring>> layers_;
  std::vector<Step> steps_;
  std::unique_ptr<Norm> norm_;
  Axis out_;
};

}  // namespace formwork
