#include "formwork/interop/families/vision_layers.h"

namespace formwork {
namespace {

// A side for both directions, or [height, width]: {"image": .., "image_width": ..}.
void read_sides(const Config& config, const std::string& key, int64_t fallback, const std::string& ours,
                Json& stem) {
  const Json* value = config.find(key);
  if (!value || !value->is_array()) {
    stem[ours] = config.integer(key, fallback);
    return;
  }
  const auto is_side = [](const Json& side) { return side.is_number_integer() && side > 0; };
  if (value->size() != 2 || !std::all_of(value->begin(), value->end(), is_side))
    fail("{}: '{}': expected a size or [height, width], found {}", config.where(), key, value->dump());
  stem[ours] = value->at(0), stem[ours + "_width"] = value->at(1);
}

Json their_sides(const Json& stem, const std::string& ours) {
  const Json& width = stem.at(ours + "_width");
  return width == 0 ? stem.at(ours) : Json::array({stem.at(ours), width});
}

}  // namespace

Json patch_stem(const Config& config) {
  Json stem = {{"type", "patch"}, {"channels", config.integer("num_channels", 3)}};
  read_sides(config, "image_size", 224, "image", stem);
  read_sides(config, "patch_size", 16, "patch", stem);
  return stem;
}

Json their_patch_stem(const Json& stem) {
  return {{"num_channels", stem.at("channels")},
          {"image_size", their_sides(stem, "image")},
          {"patch_size", their_sides(stem, "patch")}};
}

void patch_rules(WeightRules& rules, const std::string& theirs) {
  rules.map("stem.projection", theirs + "patch_embeddings.projection");
  rules.map("stem.norm", theirs + "norm");
  const auto batched = [&](const std::string& ours, const std::string& name, bool token) {
    if (!rules.has(ours)) return;
    const auto shape = rules.param(ours).shape();
    auto wide = shape;
    wide.insert(wide.begin(), token ? 2 : 1, 1);
    rules.add(ours, {theirs + name}, weight_op::reshaped(shape, wide));
  };
  batched("stem.class_token", "cls_token", true);
  batched("stem.distillation_token", "distillation_token", true);
  batched("stem.positions", "position_embeddings", false);
}

Spec vit_spec(const Config& config, const Json& head, bool distillation_token) {
  config.skip({"encoder_stride"});  // of a head that makes images
  const Json norm = {{"type", "layer_norm"}, {"eps", config.number("layer_norm_eps", 1e-12)}};
  const Json layer = {{"type", "pre"},
                      {"norm", norm},
                      {"mixer",
                       {{"type", "attention"},
                        {"heads", config.integer("num_attention_heads")},
                        {"bias", config.flag("qkv_bias", true)},
                        {"out_bias", true}}},
                      {"channel",
                       {{"type", "mlp"},
                        {"hidden", config.integer("intermediate_size")},
                        {"activation", activation_of(config, "hidden_act", "gelu")}}}};
  auto stem = patch_stem(config);
  stem["distillation_token"] = distillation_token;
  Spec spec;
  spec.model = {
      "image_encoder",
      {{"stem", stem},
       {"width", config.integer("hidden_size")},
       {"layers", {{"repeat", config.integer("num_hidden_layers")}, {"pattern", Json::array({layer})}}},
       {"norm", norm},
       {"head", head}}};
  return spec;
}

Json vit_pooler(const Config& config) {
  const int64_t width = config.integer("hidden_size");
  const int64_t pooled = config.integer("pooler_output_size", width);
  return {{"type", "pooler"},
          {"width", pooled == width ? 0 : pooled},
          {"activation", activation_of(config, "pooler_act", "tanh")}};
}

void vit_rules(WeightRules& rules, const std::string& prefix) {
  patch_rules(rules, prefix + "embeddings.");
  for (int64_t i = 0; i < rules.count("layers."); ++i) {
    const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("{}encoder.layer.{}.", prefix, i);
    const auto self = theirs + "attention.attention.";
    rules.attention(ours + "mixer", self + "query", self + "key", self + "value",
                    theirs + "attention.output.dense");
    rules.map(ours + "mixer.norm", theirs + "layernorm_before");
    rules.map(ours + "channel.norm", theirs + "layernorm_after");
    rules.map(ours + "channel.up", theirs + "intermediate.dense");
    rules.map(ours + "channel.down", theirs + "output.dense");
  }
  rules.map("norm", prefix + "layernorm");
  rules.map("head.hidden", prefix + "pooler.dense");
}

Json vit_config(const Json& spec, bool distillation_token) {
  const Json& model = spec.at("model");
  if (model.at("type") != "image_encoder" || model.at("layers").empty()) return nullptr;
  const Json& layer = model.at("layers").at(0);
  const Json &mixer = layer.at("mixer"), &channel = layer.at("channel"), &head = model.at("head");
  if (mixer.at("type") != "attention" || model.at("stem").at("distillation_token") != distillation_token)
    return nullptr;
  Json config = their_patch_stem(model.at("stem"));
  config.update({{"hidden_size", model.at("width")},
                 {"num_hidden_layers", model.at("layers").size()},
                 {"num_attention_heads", mixer.at("heads")},
                 {"intermediate_size", channel.at("hidden")},
                 {"hidden_act", their_activation(channel.at("activation").at("type"))},
                 {"layer_norm_eps", layer.at("norm").at("eps")},
                 {"qkv_bias", mixer.at("bias")}});
  if (head.contains("classes")) config["id2label"] = label_names(head.at("classes"));
  if (head.at("type") != "pooler") return config;
  config["pooler_output_size"] = head.at("width") == 0 ? model.at("width") : head.at("width");
  config["pooler_act"] = their_activation(head.at("activation").at("type"));
  return config;
}

}  // namespace formwork
