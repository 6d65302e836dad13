#include "formwork/models/stack.h"

#include "formwork/models/checkpoint.h"

namespace formwork {

namespace {

constexpr int64_t kMostLayers = 10000;  // a few bytes of a Spec must not ask for gigabytes

}  // namespace

std::vector<PartSpec> expand_layers(const Json& layers, const std::string& where) {
  std::vector<PartSpec> list;
  const auto add = [&](const Json& items, const std::string& place) {
    if (!items.is_array()) fail("{}: expected a list of layers, found {}", place, items.dump());
    for (size_t i = 0; i < items.size(); ++i) {
      Json item = items[i];
      if (item.is_object() && !item.contains("type")) item["type"] = "pre";
      list.push_back(PartSpec::from_json(item, fmt::format("{}[{}]", place, i)));
    }
  };
  if (layers.is_array()) {
    add(layers, where);
    return list;
  }
  const std::vector<std::string> keys = {"repeat", "pattern"};
  if (!layers.is_object())
    fail("{}: expected a list of layers or {{\"repeat\": n, \"pattern\": [...]}}", where);
  for (const auto& [key, value] : layers.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) fail_unknown(where + ": key", key, keys);
  const Json repeat = layers.value("repeat", Json(1));
  const Json pattern = layers.value("pattern", Json());
  const auto most = kMostLayers / std::max<int64_t>(1, static_cast<int64_t>(pattern.size()));
  if (!repeat.is_number_integer() || repeat.get<int64_t>() < 0 || repeat.get<int64_t>() > most)
    fail("{}: \"repeat\" must be an integer in [0, {}], found {}", where, most, repeat.dump());
  for (int64_t i = 0; i < repeat.get<int64_t>(); ++i) add(pattern, where + ".pattern");
  return list;
}

Stack::Stack(Build build, const std::vector<PartSpec>& layers, const PartSpec& norm) : out_(build.in) {
  build.depth = static_cast<int64_t>(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    Build child = build.at(fmt::format("layers.{}", i));
    child.in = child.out = out_;
    layers_.push_back(Registry<Wiring>::make(child, layers[i]));
    out_ = layers_.back()->out();
    for (auto& step : layers_.back()->steps()) steps_.push_back(step);
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

Tensor Stack::run(Context& ctx, int64_t first, int64_t last, Tensor x) {
  for (int64_t i = first; i < last; ++i) {
    const auto& step = steps_.at(static_cast<size_t>(i));
    if (!skipped(ctx, step)) x = forward_segment(ctx, *step.layer, step.name, x);
  }
  return x;
}

Tensor Stack::append(Context& ctx, Tensor x, ModelState& state) {
  for (size_t i = 0; i < steps_.size(); ++i)
    if (!skipped(ctx, steps_[i])) x = steps_[i].layer->append(ctx, x, state.steps[i].get());
  return x;
}

void Stack::make_states(const StateOptions& options, ModelState& state) const {
  for (const auto& step : steps_) state.steps.push_back(step.layer->make_state(options));
}

std::vector<std::string> Stack::names() const {
  std::vector<std::string> names;
  for (const auto& step : steps_)
    names.push_back(step.loop ? fmt::format("{}@{}", step.name, step.loop) : step.name);
  return names;
}

}  // namespace formwork
