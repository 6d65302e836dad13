// GPT-NeoX and Pythia (Black et al., 2022; Biderman et al., 2023): attention and MLP side by side, each
// behind a norm of its own; a share of a head's channels turns; queries, keys and values are interleaved by
// head.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class GptNeox final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit GptNeox(const Options&) {}
  std::vector<std::string> architectures() const override { return {"GPTNeoXForCausalLM", "GPTNeoXModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const bool bias = config.flag("attention_bias", true);
    const double base = config.number("rotary_emb_base", 10000), share = config.number("rotary_pct", 0.25);
    const Json norm = {{"type", "layer_norm"}, {"eps", config.number("layer_norm_eps", 1e-5)}};
    Json layer = {{"norm", norm},
                  {"mixer", rotary_attention(config, rotary_of(config, base, share), bias, bias)},
                  {"channel",
                   {{"type", "mlp"},
                    {"hidden", config.integer("intermediate_size")},
                    {"activation", activation_of(config, "hidden_act", "gelu")}}}};
    if (config.flag("use_parallel_residual", true))
      layer["type"] = "parallel", layer["separate_norms"] = true;
    else
      layer["type"] = "pre";
    return decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer), norm);
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "gpt_neox.embed_in");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("gpt_neox.layers.{}.", i);
      const bool both = rules.has(ours + "both.mixer.out.weight");
      const auto mixer = ours + (both ? "both.mixer" : "mixer"),
                 channel = ours + (both ? "both.channel" : "channel");
      rules.map(both ? ours + "both.norm" : mixer + ".norm", theirs + "input_layernorm");
      rules.map(both ? ours + "both.channel_norm" : channel + ".norm", theirs + "post_attention_layernorm");
      if (rules.has(mixer + ".qkv.weight"))
        rules.map(mixer + ".qkv", theirs + "attention.query_key_value",
                  interleaved(rules.param(mixer + ".qkv.weight")));
      rules.map(mixer + ".out", theirs + "attention.dense");
      rules.map(channel + ".up", theirs + "mlp.dense_h_to_4h");
      rules.map(channel + ".down", theirs + "mlp.dense_4h_to_h");
    }
    rules.map("norm", "gpt_neox.final_layer_norm");
    rules.map("head", "embed_out");
  }
  TheirNames names() const override {
    return {"gpt_neox.",
            {"*.attention.bias", "*.attention.masked_bias", "*.rotary_emb.inv_freq", "embed_out.weight"}};
  }

 private:
  static WeightOp interleaved(const Parameter& qkv) {
    const auto& key = qkv.dims.at(0).segments.at(1);  // kv_heads * qk_width
    return weight_op::interleaved_heads(key.at(0).size, key.at(1).size);
  }
};

FORMWORK_PART(Family, GptNeox, "gpt_neox", "GPT-NeoX, Pythia");

}  // namespace
}  // namespace formwork
