// Gemma 2 (Gemma Team, 2024): norms before and after each sub-block that store what their gain differs from 1
// by, capped logits, every second layer with a sliding window, an embedding times the root of its width.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Gemma2 final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Gemma2(const Options&) {}
  std::vector<std::string> architectures() const override { return {"Gemma2ForCausalLM", "Gemma2Model"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const bool bias = config.flag("attention_bias", false);
    config.require("use_bidirectional_attention", false, "a decoder sees no later token");
    config.skip({"hidden_act", "cache_implementation"});  // it goes by hidden_activation
    auto mixer = rotary_attention(config, rotary_of(config), bias, bias);
    if (mixer.at("head_width") == 0) mixer["head_width"] = 256;
    mixer["scale"] = 1 / std::sqrt(config.number("query_pre_attn_scalar", 256));
    mixer["score"] = {{"type", "softmax"}, {"cap", config.number("attn_logit_softcapping", 0)}};
    auto layer = gated_layer(config, mixer, activation_of(config, "hidden_activation", "gelu_pytorch_tanh"));
    layer["type"] = "sandwich";
    layer["norm"]["offset"] = 1;
    const int64_t count = config.layers("num_hidden_layers");
    Json layers = Json::array();
    for (const int64_t width : windows(config, count, config.integer("sliding_window", 4096),
                                       [](int64_t i) { return i % 2 == 0; })) {
      layers.push_back(layer);
      layers.back()["mixer"]["window"] = width;
    }
    auto spec = decoder_spec(config, architecture, layers, layer.at("norm"), true);
    auto& options = spec.model.options;
    options["stem_scale"] = std::sqrt(static_cast<double>(config.integer("hidden_size")));
    const double cap = config.number("final_logit_softcapping", 0);
    if (options["head"] == "lm") options["head"] = {{"type", "lm"}, {"cap", cap}};
    return spec;
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "model.embed_tokens");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("model.layers.{}.", i);
      const auto attention = theirs + "self_attn.", mlp = theirs + "mlp.";
      rules.map(ours + "mixer.norm", theirs + "input_layernorm");
      rules.map(ours + "mixer.norm_after", theirs + "post_attention_layernorm");
      rules.attention(ours + "mixer", attention + "q_proj", attention + "k_proj", attention + "v_proj",
                      attention + "o_proj");
      rules.map(ours + "channel.norm", theirs + "pre_feedforward_layernorm");
      rules.map(ours + "channel.norm_after", theirs + "post_feedforward_layernorm");
      rules.gated(ours + "channel", mlp + "gate_proj", mlp + "up_proj", mlp + "down_proj");
    }
    rules.map("norm", "model.norm");
    rules.map("head", "lm_head");
  }
  TheirNames names() const override { return llama_names(); }
};

FORMWORK_PART(Family, Gemma2, "gemma2", "Gemma 2");

}  // namespace
}  // namespace formwork
