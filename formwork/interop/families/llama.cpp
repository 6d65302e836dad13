// Llama 1 to 3 (Touvron et al., 2023; Grattafiori et al., 2024), and what has its form: SmolLM2, TinyLlama.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Llama final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Llama(const Options&) {}
  std::vector<std::string> architectures() const override { return {"LlamaForCausalLM", "LlamaModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const bool bias = config.flag("attention_bias", false);
    const auto mixer = rotary_attention(config, rotary_of(config), bias, bias);
    const auto layer = gated_layer(config, mixer, activation_of(config, "hidden_act", "silu"),
                                   config.flag("mlp_bias", false));
    return decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer),
                        layer.at("norm"));
  }
  void rules(WeightRules& rules) const override { llama_rules(rules); }
  TheirNames names() const override { return llama_names(); }

  Json config(const Json& spec) const override {
    Json config = llama_config(spec);
    if (config.is_null()) return config;
    config["architectures"] = {"LlamaForCausalLM"};
    config["attention_bias"] = first_layer(spec).at("mixer").at("bias");
    config["mlp_bias"] = first_layer(spec).at("channel").at("bias");
    return config;
  }
};

FORMWORK_PART(Family, Llama, "llama", "Llama 1 to 3, SmolLM2, TinyLlama");

}  // namespace
}  // namespace formwork
