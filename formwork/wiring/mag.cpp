// Memory as a gate: attention over the last tokens beside a memory of all of them, whose output gates it,
//
//   x + attention(norm(x)) * sigmoid(memory(norm(x))),  then the channel mixer: x + f(norm(x))
//
// Source: Titans: Learning to Memorize at Test Time (2024), section 4.2; the logistic gate is ours.
#include "formwork/mixers/paired_state.h"
#include "formwork/wiring/hybrid_options.h"
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class GatedStep final : public ResidualStep {
 public:
  GatedStep(Build& build, const HybridOptions& options)
      : ResidualStep(build, options.around(options.memory, {})), norm_(make_norm(build, "norm", build.in)) {
    build.input = norm_->output_tap();
    memory_ = make(build, "memory", options.memory, memory_tap_);
    attention_ = make(build, "attention", options.attention, attention_tap_);
  }
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<PairedState>(memory_->make_state(options), attention_->make_state(options));
  }
  Traits traits() const override {
    const auto first = memory_->traits(), second = attention_->traits();
    Traits both;
    both.causal = first.causal && second.causal;
    both.batch_independent = first.batch_independent && second.batch_independent;
    both.trees = first.trees && second.trees;
    both.length_free = first.length_free && second.length_free;
    both.deterministic = first.deterministic && second.deterministic;
    both.twice_differentiable = first.twice_differentiable && second.twice_differentiable;
    both.float64 = first.float64 && second.float64;
    return both;
  }

 protected:
  Tensor join(Context& ctx, const Tensor& x, State* state) override {
    auto* states = static_cast<PairedState*>(state);
    const auto [past, normed] = norm_->split(ctx, x);
    const auto gate = mixed(ctx, *memory_, normed, states ? states->first.get() : nullptr, states != nullptr);
    const auto seen =
        mixed(ctx, *attention_, normed, states ? states->second.get() : nullptr, states != nullptr);
    auto branch = ctx.tap(attention_tap_, seen) * ctx.tap(memory_tap_, gate).sigmoid();
    return add(shortcut(ctx, past), regularize(ctx, std::move(branch)));
  }

 private:
  static std::unique_ptr<TokenMixer> make(const Build& build, const char* name, const PartSpec& spec,
                                          Slot& tap) {
    Build child = build.at(name);
    auto mixer = make_mixer(child, spec);
    child.register_part(*mixer);
    tap = child.tap("out", build.out);
    return mixer;
  }
  static Tensor mixed(Context& ctx, TokenMixer& mixer, const Tensor& x, State* state, bool decoding) {
    return decoding ? mixer.append(ctx, x, state) : mixer.forward(ctx, x);
  }
  std::unique_ptr<Norm> norm_;
  std::unique_ptr<TokenMixer> memory_, attention_;
  Slot memory_tap_, attention_tap_;
};

class MemoryAsGate final : public Wiring {
 public:
  using Options = HybridOptions;
  MemoryAsGate(Build& build, const Options& options) {
    Build child = build.at("both");
    step_ = std::make_unique<GatedStep>(child, options);
    name_ = child.path();
    if (!options.channel) return;
    Build last = build.at("last");
    last.in = last.out = step_->out();
    channel_ =
        Registry<Wiring>::make(last, PartSpec("pre", options_json(options.around({}, options.channel))));
  }
  std::vector<Step> steps() override {
    std::vector<Step> list = {{step_.get(), name_}};
    if (channel_)
      for (auto& step : channel_->steps()) list.push_back(std::move(step));
    return list;
  }
  Axis out() const override { return channel_ ? channel_->out() : step_->out(); }

 private:
  std::unique_ptr<GatedStep> step_;
  std::string name_;
  std::unique_ptr<Wiring> channel_;
};

FORMWORK_PART(Wiring, MemoryAsGate, "mag", "attention over the last tokens, gated by a memory beside it");

}  // namespace
}  // namespace formwork
