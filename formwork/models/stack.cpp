#include "formwork/models/stack.h"

#include "formwork/models/checkpoint.h"

namespace formwork {
namespace {

// The registered names of the mixers of a step that take no tree of tokens.
std::string why_no_trees(const Inventory& inventory, const Step& step) {
  if (step.layer->traits().trees) return {};
  std::string names;
  for (const auto& [path, part] : inventory.parts) {
    if (path != step.name && !path.starts_with(step.name + ".")) continue;
    const auto type = inventory.types.find(path);
    if (type == inventory.types.end() || !dynamic_cast<const TokenMixer*>(part) || part->traits().trees)
      continue;
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", type->second);
  }
  return fmt::format("{}: token mixer {} takes tokens in a row alone, not a tree of drafts", step.name,
                     names.empty() ? "of this layer" : names);
}

}  // namespace

Stack::Stack(Build build, const std::vector<PartSpec>& layers, const PartSpec& norm)
    : norm_path_(build.name("norm")), head_path_(build.name("head")), out_(build.in) {
  build.depth = static_cast<int64_t>(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    Build child = build.at(fmt::format("layers.{}", i));
    child.in = child.out = out_;
    layers_.push_back(Registry<Wiring>::make(child, layers[i]));
    out_ = layers_.back()->out();
    add_steps(build, *layers_.back());
  }
  if (build.causal)
    for (const auto& step : steps_)
      if (!step.layer->traits().causal)
        fail("{}: this mixer looks at later tokens, which a causal model may not", step.name);
  if (!norm) return;
  Build child = build.at("norm");
  child.in = child.out = out_;
  norm_ = Registry<Norm>::make(child, norm);
}

void Stack::add_steps(const Build& build, Wiring& layer) {
  std::map<std::string, Slot> taps;
  for (auto& step : layer.steps()) {
    const auto [tap, fresh] = taps.try_emplace(step.name, -1);
    if (fresh)
      tap->second = Build(build.inventory(), step.name, layer.out(), layer.out()).tap("stream", layer.out());
    steps_.push_back(step);
    taps_.push_back(tap->second);
    no_trees_.push_back(why_no_trees(build.inventory(), step));
    auto& known = build.inventory().steps;
    if (fresh)
      known.push_back({step.name, step.layer, tap->second, false});
    else
      std::find_if(known.begin(), known.end(), [&](const auto& one) {
        return one.name == step.name;
      })->repeats = true;
  }
}

void Stack::run(Context& ctx, int64_t first, int64_t last, Stream& stream) {
  const LayoutScope scope(ctx, stream.layout);
  for (int64_t i = first; i < last; ++i) {
    const auto& step = steps_.at(static_cast<size_t>(i));
    if (skipped(ctx, step)) continue;
    check_tree(stream.layout, static_cast<size_t>(i));
    stream.x = ctx.tap(taps_[static_cast<size_t>(i)], forward_segment(ctx, *step.layer, step.name, stream.x),
                       stream.layout);
    if (step.tokens) stream.layout = step.tokens->after(stream.layout);
  }
}

void Stack::append(Context& ctx, Stream& stream, ModelState& state) {
  const LayoutScope scope(ctx, stream.layout);
  // Before any state has taken a token.
  for (size_t i = 0; i < steps_.size(); ++i) check_tree(stream.layout, i);
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (skipped(ctx, steps_[i])) continue;
    check_tree(stream.layout, i);
    stream.x = ctx.tap(taps_[i], steps_[i].layer->append(ctx, stream.x, state.steps[i].get()), stream.layout);
  }
}

Split Stack::carry(SplitPass& pass, int64_t first, int64_t last, Split x) const {
  for (int64_t i = first; i < last; ++i) {
    const auto& step = steps_.at(static_cast<size_t>(i));
    if (!skipped(pass.ctx(), step)) x = pass.through(*step.layer, step.name, x);
  }
  return x;
}

Split Stack::finish(SplitPass& pass, Head& head, const Split& x) const {
  return pass.through(head, head_path_, norm_ ? pass.through(*norm_, norm_path_, x) : x);
}

void Stack::make_states(const StateOptions& options, ModelState& state) const {
  for (const auto& step : steps_) state.steps.push_back(step.layer->make_state(options));
}

std::unique_ptr<Head> Stack::make_head(const Build& build, const PartSpec& head, LinearMap* embedding) const {
  Build child = build.at("head");
  child.in = child.out = out_;
  child.input = norm_ ? norm_->output_tap() : -1;
  child.embedding = embedding;
  return Registry<Head>::make(child, head);
}

std::vector<std::string> Stack::names() const {
  std::vector<std::string> names;
  for (const auto& step : steps_)
    names.push_back(step.loop ? fmt::format("{}@{}", step.name, step.loop) : step.name);
  return names;
}

}  // namespace formwork
