// Mistral (Jiang et al., 2023): Llama with a sliding window.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Mistral final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Mistral(const Options&) {}
  std::vector<std::string> architectures() const override { return {"MistralForCausalLM", "MistralModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    auto mixer = rotary_attention(config, rotary_of(config), false, false);
    mixer["window"] = config.integer("sliding_window", 0);
    const auto layer = gated_layer(config, mixer, activation_of(config, "hidden_act", "silu"));
    return decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer),
                        layer.at("norm"));
  }
  void rules(WeightRules& rules) const override { llama_rules(rules); }
  TheirNames names() const override { return llama_names(); }

  Json config(const Json& spec) const override {
    Json config = llama_config(spec);
    if (config.is_null()) return config;
    config["architectures"] = {"MistralForCausalLM"};
    const Json window = first_layer(spec).at("mixer").at("window");
    config["sliding_window"] = window == 0 ? Json() : window;
    return config;
  }
};

FORMWORK_PART(Family, Mistral, "mistral", "Llama with a sliding window");

}  // namespace
}  // namespace formwork
