// Parallel wiring (Wang and Komatsuzaki, 2021): x + f(norm(x)) + g(norm(x)), one norm for both, or one each
// (Black et al., "GPT-NeoX-20B", 2022).
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

// Token mixer and channel mixer side by side; the state is the token mixer's.
class Both final : public Part {
 public:
  // `channel_input`: the tap that the channel mixer reads.
  Both(const Build& build, const PartSpec& mixer, const PartSpec& channel, Slot channel_input) {
    Build first = build.at("mixer"), second = build.at("channel");
    second.input = channel_input;
    mixer_ = make_mixer(first, mixer);
    channel_ = Registry<ChannelMixer>::make(second, channel);
    first.register_part(*mixer_);
    second.register_part(*channel_);
    mixer_path_ = first.path(), channel_path_ = second.path();
    mixer_tap_ = first.tap("out", build.out);
    channel_tap_ = second.tap("out", build.out);
  }
  Traits traits() const override { return mixer_->traits(); }
  TokenMixer* mixer() { return mixer_.get(); }
  const std::string& mixer_path() const { return mixer_path_; }
  std::unique_ptr<State> make_state(const StateOptions& options) const { return mixer_->make_state(options); }
  // f(x) + g(y); the state is null in a whole pass.
  Tensor sum(Context& ctx, const Tensor& x, const Tensor& y, State* state) {
    const auto mixed = state ? mixer_->append(ctx, x, state) : mixer_->forward(ctx, x);
    return ctx.tap(mixer_tap_, mixed) + ctx.tap(channel_tap_, channel_->forward(ctx, y));
  }
  Split sum(SplitPass& pass, const Split& x, const Split& y) {
    return pass.tap(mixer_tap_, pass.through(*mixer_, mixer_path_, x)) +
           pass.tap(channel_tap_, pass.through(*channel_, channel_path_, y));
  }

 private:
  std::string mixer_path_, channel_path_;
  std::unique_ptr<TokenMixer> mixer_;
  std::unique_ptr<ChannelMixer> channel_;
  Slot mixer_tap_, channel_tap_;
};

class ParallelStep final : public ResidualStep, public SplitFacet {
 public:
  ParallelStep(Build& build, const LayerOptions& options, bool separate_norms)
      : ResidualStep(build, options), norm_(make_norm(build, "norm", build.in)) {
    if (separate_norms) channel_norm_ = make_norm(build, "channel_norm", build.in);
    build.input = norm_->output_tap();
    both_ = std::make_unique<Both>(build, options.mixer, options.channel,
                                   channel_norm_ ? channel_norm_->output_tap() : build.input);
    build.register_part(*both_);
    place_ = SplitPlace::channel;
  }
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return both_->make_state(options);
  }
  Traits traits() const override { return both_->traits(); }
  TokenMixer* token_mixer() override { return both_->mixer(); }
  const std::string& mixer_path() const override { return both_->mixer_path(); }
  Tensor mixer_input(Context& ctx, const Tensor& x) override { return norm_->forward(ctx, x); }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto first = normed(pass, *norm_, "norm", x);
    const auto beside = channel_norm_ ? normed(pass, *channel_norm_, "channel_norm", x) : first;
    return add(pass, shortcut(pass, x), both_->sum(pass, first, beside));
  }

 protected:
  Tensor join(Context& ctx, const Tensor& x, State* state) override {
    const auto [past, normed] = norm_->split(ctx, x);
    const auto beside = channel_norm_ ? channel_norm_->forward(ctx, x) : normed;
    auto branch = regularize(ctx, both_->sum(ctx, normed, beside, state));
    return add(shortcut(ctx, past), std::move(branch));
  }

 private:
  std::unique_ptr<Norm> norm_, channel_norm_;
  std::unique_ptr<Both> both_;
};

class Parallel final : public Wiring {
 public:
  using Options = ParallelOptions;
  Parallel(Build& build, const Options& options) : out_(build.in) {
    if (!options.mixer || !options.channel || options.cross)
      fail("{}: parallel wiring joins one token mixer and one channel mixer", build.path());
    Build child = build.at("both");
    if (!child.resolve("both")) return;  // left out by the Spec
    step_ = std::make_unique<ParallelStep>(child, options, options.separate_norms);
    out_ = step_->out();
    name_ = child.path();
  }
  std::vector<Step> steps() override {
    return step_ ? std::vector<Step>{{step_.get(), name_}} : std::vector<Step>();
  }
  Axis out() const override { return out_; }

 private:
  Axis out_;
  std::unique_ptr<ParallelStep> step_;
  std::string name_;
};

FORMWORK_PART(Wiring, Parallel, "parallel", "x + f(norm(x)) + g(norm(x))");

}  // namespace
}  // namespace formwork
