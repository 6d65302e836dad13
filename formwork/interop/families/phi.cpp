// Phi-1, 1.5 and 2 (Gunasekar et al., 2023): attention and MLP side by side behind one norm, biases
// everywhere, a share of a head's channels turns.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Phi final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Phi(const Options&) {}
  std::vector<std::string> architectures() const override { return {"PhiForCausalLM", "PhiModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const Json norm = {{"type", "layer_norm"}, {"eps", config.number("layer_norm_eps", 1e-5)}};
    auto mixer = rotary_attention(config, rotary_of(config, 10000, 0.5), true, true);
    if (config.flag("qk_layernorm", false)) mixer["qk_norm"] = norm;
    const Json layer = {{"type", "parallel"},
                        {"norm", norm},
                        {"mixer", mixer},
                        {"channel",
                         {{"type", "mlp"},
                          {"hidden", config.integer("intermediate_size")},
                          {"activation", activation_of(config, "hidden_act", "gelu_new")}}}};
    auto spec =
        decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer), norm);
    auto& head = spec.model.options["head"];
    if (head == "lm") head = {{"type", "lm"}, {"bias", true}};
    return spec;
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "model.embed_tokens");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.both.", i), theirs = fmt::format("model.layers.{}.", i);
      const auto attention = theirs + "self_attn.";
      rules.map(ours + "norm", theirs + "input_layernorm");
      rules.attention(ours + "mixer", attention + "q_proj", attention + "k_proj", attention + "v_proj",
                      attention + "dense");
      rules.map(ours + "mixer.query_norm", attention + "q_layernorm");
      rules.map(ours + "mixer.key_norm", attention + "k_layernorm");
      rules.map(ours + "channel.up", theirs + "mlp.fc1");
      rules.map(ours + "channel.down", theirs + "mlp.fc2");
    }
    rules.map("norm", "model.final_layernorm");
    rules.map("head", "lm_head");
  }
  TheirNames names() const override { return {"model.", {"*.rotary_emb.inv_freq", "lm_head.weight"}}; }
};

FORMWORK_PART(Family, Phi, "phi", "Phi-1, Phi-1.5, Phi-2");

}  // namespace
}  // namespace formwork
