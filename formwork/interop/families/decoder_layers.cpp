#include "formwork/interop/families/decoder_layers.h"

namespace formwork {

Json rotary_attention(const Config& config, const Json& position, bool bias, bool out_bias) {
  const int64_t heads = config.integer("num_attention_heads");
  return {{"type", "attention"},
          {"heads", heads},
          {"kv_heads", config.integer("num_key_value_heads", heads)},
          {"head_width", config.integer("head_dim", 0)},
          {"bias", bias},
          {"out_bias", out_bias},
          {"position", position}};
}

Json gated_layer(const Config& config, const Json& mixer, const std::string& activation, bool bias) {
  return {{"type", "pre"},
          {"norm", {{"type", "rms_norm"}, {"eps", config.number("rms_norm_eps", 1e-6)}}},
          {"mixer", mixer},
          {"channel",
           {{"type", "gated_mlp"},
            {"hidden", config.integer("intermediate_size")},
            {"activation", activation},
            {"bias", bias}}}};
}

Json repeated(int64_t times, const Json& layer) {
  return {{"repeat", times}, {"pattern", Json::array({layer})}};
}

Spec decoder_spec(const Config& config, const std::string& architecture, const Json& layers, const Json& norm,
                  bool tied_by_default) {
  const bool bare = architecture.ends_with("Model");
  Spec spec;
  spec.model = {"decoder",
                {{"vocab", config.integer("vocab_size")},
                 {"width", config.integer("hidden_size")},
                 {"layers", layers},
                 {"norm", norm},
                 {"head", bare ? "hidden" : "lm"},
                 {"tie", config.flag("tie_word_embeddings", tied_by_default) && !bare}}};
  return spec;
}

std::vector<int64_t> windows(const Config& config, int64_t layers, int64_t window,
                             const std::function<bool(int64_t)>& slides) {
  std::vector<int64_t> list;
  const Json* types = config.find("layer_types");
  if (types && (!types->is_array() || static_cast<int64_t>(types->size()) != layers))
    fail("{}: 'layer_types': expected a list of {} layers, found {}", config.where(), layers, types->dump());
  for (int64_t i = 0; i < layers; ++i) {
    const Json type =
        types ? (*types)[static_cast<size_t>(i)] : Json(slides(i) ? "sliding_attention" : "full_attention");
    if (type != "sliding_attention" && type != "full_attention")
      fail("{}: 'layer_types': expected sliding_attention or full_attention, found {}", config.where(),
           type.dump());
    const bool slid = type == "sliding_attention";
    if (slid && window == 0) fail("{}: 'sliding_window' is missing, and layer {} slides", config.where(), i);
    list.push_back(slid ? window : 0);
  }
  return list;
}

void llama_rules(WeightRules& rules, bool mlp) {
  rules.map("embed", "model.embed_tokens");
  for (int64_t i = 0; i < rules.count("layers."); ++i) {
    const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("model.layers.{}.", i);
    const auto attention = theirs + "self_attn.";
    rules.map(ours + "mixer.norm", theirs + "input_layernorm");
    rules.attention(ours + "mixer", attention + "q_proj", attention + "k_proj", attention + "v_proj",
                    attention + "o_proj");
    rules.map(ours + "mixer.query_norm", attention + "q_norm");
    rules.map(ours + "mixer.key_norm", attention + "k_norm");
    rules.map(ours + "channel.norm", theirs + "post_attention_layernorm");
    if (mlp)
      rules.gated(ours + "channel", theirs + "mlp.gate_proj", theirs + "mlp.up_proj",
                  theirs + "mlp.down_proj");
  }
  rules.map("norm", "model.norm");
  rules.map("head", "lm_head");
}

void convolution_rules(WeightRules& rules, const std::string& ours, const std::string& theirs) {
  if (!rules.has(ours + ".weight")) return;
  const auto shape = rules.param(ours + ".weight").shape();
  rules.add(ours + ".weight", {theirs + ".weight"},
            weight_op::reshaped(shape, {shape.front(), 1, shape.back()}));
  rules.add(ours + ".bias", {theirs + ".bias"});
}

TheirNames llama_names() { return {"model.", {"*.rotary_emb.inv_freq", "lm_head.weight"}}; }

const Json& first_layer(const Json& spec) { return spec.at("model").at("layers").at(0); }

Json llama_config(const Json& spec) {
  const Json& model = spec.at("model");
  if (model.at("type") != "decoder" || model.at("layers").empty()) return nullptr;
  const Json& layer = first_layer(spec);
  const Json mixer = layer.value("mixer", Json()), channel = layer.value("channel", Json());
  if (!mixer.is_object() || !channel.is_object() || !mixer.contains("position") ||
      mixer.at("position").at("type") != "rotary" || !mixer.contains("heads") ||
      layer.at("norm").at("type") != "rms_norm" || !channel.contains("hidden"))
    return nullptr;
  Json config = {{"vocab_size", model.at("vocab")},
                 {"hidden_size", model.at("width")},
                 {"num_hidden_layers", model.at("layers").size()},
                 {"num_attention_heads", mixer.at("heads")},
                 {"num_key_value_heads", mixer.at("kv_heads")},
                 {"head_dim", mixer.at("head_width")},
                 {"intermediate_size", channel.at("hidden")},
                 {"hidden_act", their_activation(channel.at("activation").at("type"))},
                 {"rms_norm_eps", layer.at("norm").at("eps")},
                 {"tie_word_embeddings", model.at("tie")},
                 // Rotary positions have no largest one: this is what other programs set aside.
                 {"max_position_embeddings", 32768}};
  config.update(their_rotary(mixer.at("position")));
  return config;
}

}  // namespace formwork
