// Wiring: how the mixers of a layer are joined to the residual stream. A wiring is a list of steps, each a
// Layer [B, T, in] -> [B, T, out] that can be run alone (a segment).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/channels/channel_mixer.h"
#include "formwork/core/split.h"
#include "formwork/linear/linear_map.h"
#include "formwork/mixers/token_mixer.h"
#include "formwork/norms/norm.h"
#include "formwork/wiring/layer_options.h"

namespace formwork {

// A second view of a layer after which the stream has other tokens than before (merged patches).
class ChangesTokens {
 public:
  virtual ~ChangesTokens() = default;
  virtual Layout after(const Layout& before) const = 0;
};

// A step of the flattened stack; `loop` counts repetitions of a looped wiring.
struct Step {
  Layer* layer;
  std::string name;  // "layers.3.mixer"
  int64_t loop = 0;
  const ChangesTokens* tokens = nullptr;  // null: they stay as they are
};

// A second view of a step that has one token mixer: the mixer, and what it reads when the stream before the
// step is x. Distillation compares mixers of two models on the stream of one of them.
class MixingStep {
 public:
  virtual ~MixingStep() = default;
  virtual TokenMixer* token_mixer() = 0;  // null: this step has none
  virtual const std::string& mixer_path() const = 0;
  virtual Tensor mixer_input(Context& ctx, const Tensor& x) = 0;
};

class Wiring : public Part {
 public:
  static const char* kind() { return "wiring"; }
  static const char* noun() { return "wiring"; }
  virtual std::vector<Step> steps() = 0;
  virtual Axis out() const = 0;  // the axis of the stream after the last step
};

// One residual sub-block: body, norm and shortcut; wirings differ in how `forward` joins them.
//   shortcut: x, or x S^T where the Spec names a linear map "<step>.shortcut" (sliced streams); the stream
//   after it then has an axis of its own, "<step>.stream".
class ResidualStep : public Layer, public MixingStep {
 public:
  Tensor forward(Context& ctx, const Tensor& x) final { return join(ctx, x, nullptr); }
  Tensor append(Context& ctx, const Tensor& x, State* state) final { return join(ctx, x, state); }
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return body_->make_state(options);
  }
  Traits traits() const override { return body_->traits(); }
  const Axis& out() const { return out_; }
  TokenMixer* token_mixer() override { return dynamic_cast<TokenMixer*>(body_.get()); }
  const std::string& mixer_path() const override { return path_; }
  Tensor mixer_input(Context&, const Tensor& x) override { return x; }

 protected:
  // Finds the stream's axis after this step and builds the shortcut; `build` becomes the step's own scope.
  ResidualStep(Build& build, const LayerOptions& options);
  void set_body(Build build, const PartSpec& mixer, const PartSpec& channel);
  virtual Tensor join(Context& ctx, const Tensor& x, State* state) = 0;
  Tensor body(Context& ctx, const Tensor& x, State* state);
  Tensor shortcut(Context& ctx, const Tensor& x);
  // The same of splits.
  Split body(SplitPass& pass, const Split& x);
  Split shortcut(SplitPass& pass, const Split& x);
  Split normed(SplitPass& pass, Norm& norm, const char* name, const Split& x) const;
  Split add(const SplitPass& pass, const Split& past, const Split& branch) const;
  // Dropout and stochastic depth (Huang et al., 2016): a row's branch is dropped, kept ones are scaled up.
  Tensor regularize(Context& ctx, Tensor branch);
  // past + branch, written over the branch where nobody else holds it.
  static Tensor add(const Tensor& past, Tensor branch);
  std::unique_ptr<Norm> make_norm(const Build& build, const std::string& name, const Axis& axis) const;

  LayerOptions options_;
  std::string path_;
  SplitPlace place_ = SplitPlace::mixer;  // of its body

 private:
  Axis out_;
  Slot body_tap_;
  std::unique_ptr<LinearMap> shortcut_;
  std::unique_ptr<Layer> body_;
};

// A wiring that makes one step of type S for each of mixer, cross and channel.
template <class S>
class ResidualWiring final : public Wiring {
 public:
  struct Options : LayerOptions {};
  ResidualWiring(Build& build, const Options& options) : out_(build.in) {
    const auto add = [&](const char* name, const PartSpec& mixer, const PartSpec& channel) {
      Build child = build.at(name);
      if (!child.resolve(mixer ? mixer : channel)) return;
      child.in = child.out = out_;
      auto step = std::make_unique<S>(child, options, mixer, channel);
      out_ = step->out();
      names_.push_back(child.path());
      steps_.push_back(std::move(step));
    };
    add("mixer", options.mixer, {});
    add("cross", options.cross, {});
    add("channel", {}, options.channel);
  }
  std::vector<Step> steps() override {
    std::vector<Step> list;
    for (size_t i = 0; i < steps_.size(); ++i) list.push_back({steps_[i].get(), names_[i]});
    return list;
  }
  Axis out() const override { return out_; }

 private:
  Axis out_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<ResidualStep>> steps_;
};

}  // namespace formwork
