// The stack of layers that decoder, encoder and encoder-decoder share: steps over the residual stream and a
// final norm.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/split.h"
#include "formwork/models/model.h"
#include "formwork/models/tower_options.h"
#include "formwork/wiring/wiring.h"

namespace formwork {

class Stack {
 public:
  // build.in: the stream's axis after the stem. `norm` absent: no final norm (post-norm wirings).
  Stack(Build build, const std::vector<PartSpec>& layers, const PartSpec& norm);

  // Takes the stream through steps [first, last), with its layout in force.
  void run(Context& ctx, int64_t first, int64_t last, Stream& stream);
  // Appends the stream's tokens to the states, with its layout in force.
  void append(Context& ctx, Stream& stream, ModelState& state);
  Split carry(SplitPass& pass, int64_t first, int64_t last, Split x) const;
  // The final norm, and the head that make_head made.
  Split finish(SplitPass& pass, Head& head, const Split& x) const;
  Tensor finish(Context& ctx, const Tensor& x) { return norm_ ? norm_->forward(ctx, x) : x; }
  void make_states(const StateOptions& options, ModelState& state) const;

  // A head on the last stream. `embedding`: the map that a tied head shares; null: none.
  std::unique_ptr<Head> make_head(const Build& build, const PartSpec& head, LinearMap* embedding) const;

  std::vector<std::string> names() const;
  int64_t size() const { return static_cast<int64_t>(steps_.size()); }
  const Axis& out() const { return out_; }

 private:
  bool skipped(const Context& ctx, const Step& step) const {
    return step.loop > 0 && step.loop >= ctx.choice("loops", step.loop + 1);
  }
  // Refuses a tree of tokens that a mixer of step i cannot take.
  void check_tree(const Layout& layout, size_t i) const {
    if (layout.tree && !no_trees_[i].empty()) fail("{}", no_trees_[i]);
  }
  // The stream after each step of a layer has a tap, "<step>.stream"; a step that is repeated delivers again.
  void add_steps(const Build& build, Wiring& layer);

  std::vector<std::unique_ptr<Wiring>> layers_;
  std::vector<Step> steps_;
  std::vector<Slot> taps_;             // of the stream after each step
  std::vector<std::string> no_trees_;  // why a step takes no tree of tokens; empty: it does
  std::unique_ptr<Norm> norm_;
  std::string norm_path_, head_path_;
  Axis out_;
};

}  // namespace formwork
