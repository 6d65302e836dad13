// One attention outside any model, for every mask, position scheme and number of keys.
#pragma once
#include <gtest/gtest.h>

#include "mixers/mixer_alone.h"

namespace formwork {

inline constexpr int64_t kWidth = 16, kHeads = 4;

struct AttentionCase {
  std::string position, mask;  // mask: causal, window, prefix, both (ways), cross
  int64_t kv_heads;
  std::string name() const { return fmt::format("{}, {}, {} key heads", position, mask, kv_heads); }
  bool causal() const { return mask == "causal" || mask == "window" || mask == "prefix"; }
  Json options() const {
    Json json = {{"type", "attention"}, {"heads", kHeads}, {"kv_heads", kv_heads}, {"bias", true}};
    json["position"] = position == "t5"
                           ? Json{{"type", "t5"}, {"buckets", 8}, {"max_distance", 16}, {"std", 1}}
                           : Json(position);
    if (mask == "window") json["window"] = 4;
    if (mask == "cross") json["memory"] = "memory";
    return json;
  }
};

inline std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> all;
  for (const char* position : {"none", "rotary", "alibi", "t5"})
    for (const char* mask : {"causal", "window", "prefix", "both", "cross"})
      for (const int64_t kv_heads : {4, 2, 1})
        if (std::string(mask) != "cross" || std::string(position) == "none")
          all.push_back({position, mask, kv_heads});
  return all;
}

struct AttentionAlone {
  explicit AttentionAlone(const AttentionCase& c, at::ScalarType dtype = at::kFloat)
      : AttentionAlone(c.options(), c.causal(), dtype) {}
  AttentionAlone(const Json& options, bool causal, at::ScalarType dtype = at::kFloat,
                 const Json& axes = Json::object()) {
    inventory.spec.axes = axes;
    inventory.dtype = dtype;
    inventory.seed = 3;
    Build build(inventory, "", {}, {});
    build = build.at("mixer");
    build.in = build.out = build.global_axis("residual", kWidth);
    build.streams["memory"] = build.global_axis("memory", 12);
    build.causal = causal;
    build.input = build.tap("in");
    part = make_mixer(build, PartSpec::from_json(options, "test"));
    const at::NoGradGuard guard;  // larger weights than at initialization, so that mistakes show
    for (auto& param : inventory.params)
      if (param.trainable() && param.name.find("position") == std::string::npos)
        param.value.mul_(15).add_(0.01);
    ctx.streams = &streams;
    ctx.layout = &layout;
  }
  void take(const AttentionAlone& other) {
    const at::NoGradGuard guard;
    for (auto& param : inventory.params) param.value.copy_(other.inventory.by_name.at(param.name)->value);
  }
  Tensor& param(const std::string& name) { return inventory.by_name.at(name)->value; }
  Tensor operator()(const Tensor& x) { return part->forward(ctx, x); }
  Inventory inventory;
  std::unique_ptr<TokenMixer> part;
  Context ctx;
  Layout layout;
  Streams streams;
};

inline Tensor rows(int64_t batch, int64_t tokens, at::ScalarType dtype = at::kFloat) {
  return at::randn({batch, tokens, kWidth}, at::kDouble).to(dtype);
}

inline void give_memory(AttentionAlone& mixer, const Tensor& memory) {
  mixer.streams["memory"].x = memory;
  mixer.streams["memory"].layout.lengths = at::tensor({3, 7}, at::kLong);
}

inline std::vector<Tensor> value_and_gradients(AttentionAlone& mixer, const Tensor& x,
                                               const Tensor& weighting) {
  auto leaf = x.detach().clone().set_requires_grad(true);
  std::vector<Tensor> leaves = {leaf};
  for (auto& param : mixer.inventory.params)
    if (param.trainable()) leaves.push_back(param.value);
  const auto y = mixer(leaf);
  auto all = torch::autograd::grad({(y * weighting).sum()}, leaves);
  all.insert(all.begin(), y.detach());
  return all;
}

}  // namespace formwork
