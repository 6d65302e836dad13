// Qwen2 (Yang et al., 2024): Llama with biases on queries, keys and values. Qwen3 (Yang et al., 2025): norms
// on queries and keys instead. The later layers of both may slide.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

Spec qwen_spec(const Config& config, const std::string& architecture, const Json& mixer) {
  const int64_t layers = config.layers("num_hidden_layers");
  const bool slides = config.flag("use_sliding_window", false);
  const int64_t window = slides ? config.integer("sliding_window", 0) : 0,
                first = config.integer("max_window_layers", 28);
  config.skip({"sliding_window"});
  const auto layer = gated_layer(config, mixer, activation_of(config, "hidden_act", "silu"));
  Json list = Json::array();
  for (const int64_t width :
       windows(config, layers, window, [&](int64_t i) { return window > 0 && i >= first; })) {
    list.push_back(layer);
    list.back()["mixer"]["window"] = width;
  }
  return decoder_spec(config, architecture, list, layer.at("norm"));
}

Json qwen_config(const Json& spec, const char* architecture) {
  Json config = llama_config(spec);
  if (!config.is_null()) config["architectures"] = {architecture};
  return config;
}

class Qwen2 final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Qwen2(const Options&) {}
  std::vector<std::string> architectures() const override { return {"Qwen2ForCausalLM", "Qwen2Model"}; }
  Spec spec(const Config& config, const std::string& architecture) const override {
    return qwen_spec(config, architecture, rotary_attention(config, rotary_of(config), true, false));
  }
  void rules(WeightRules& rules) const override { llama_rules(rules); }
  TheirNames names() const override { return llama_names(); }
  Json config(const Json& spec) const override { return qwen_config(spec, "Qwen2ForCausalLM"); }
};

class Qwen3 final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Qwen3(const Options&) {}
  std::vector<std::string> architectures() const override { return {"Qwen3ForCausalLM", "Qwen3Model"}; }
  Spec spec(const Config& config, const std::string& architecture) const override {
    const bool bias = config.flag("attention_bias", false);
    auto mixer = rotary_attention(config, rotary_of(config), bias, bias);
    if (mixer.at("head_width") == 0) mixer["head_width"] = 128;
    mixer["qk_norm"] = {{"type", "rms_norm"}, {"eps", config.number("rms_norm_eps", 1e-6)}};
    return qwen_spec(config, architecture, mixer);
  }
  void rules(WeightRules& rules) const override { llama_rules(rules); }
  TheirNames names() const override { return llama_names(); }
  Json config(const Json& spec) const override {
    Json config = qwen_config(spec, "Qwen3ForCausalLM");
    if (!config.is_null()) config["attention_bias"] = first_layer(spec).at("mixer").at("bias");
    return config;
  }
};

FORMWORK_PART(Family, Qwen2, "qwen2", "Llama with biases on queries, keys and values");
FORMWORK_PART(Family, Qwen3, "qwen3", "Llama with norms on queries and keys");

}  // namespace
}  // namespace formwork
