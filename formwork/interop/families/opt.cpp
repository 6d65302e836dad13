// OPT (Zhang et al., 2022). Its positions begin with two rows that no token reads; the one of 350M parameters
// normalizes after each sub-block and has an embedding narrower than its stream.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Opt final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Opt(const Options&) {}
  std::vector<std::string> architectures() const override { return {"OPTForCausalLM", "OPTModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const bool bias = config.flag("enable_bias", true), before = config.flag("do_layer_norm_before", true);
    const bool affine = config.flag("layer_norm_elementwise_affine", true);
    const Json norm = {{"type", "layer_norm"}, {"gain", affine}, {"bias", affine}};
    const Json layer = {{"type", before ? "pre" : "post"},
                        {"norm", norm},
                        {"mixer",
                         {{"type", "attention"},
                          {"heads", config.integer("num_attention_heads")},
                          {"bias", bias},
                          {"out_bias", bias}}},
                        {"channel",
                         {{"type", "mlp"},
                          {"hidden", config.integer("ffn_dim")},
                          {"bias", bias},
                          {"activation", activation_of(config, "activation_function", "relu")}}}};
    const bool final_norm = before && !config.flag("_remove_final_layer_norm", false);
    auto spec = decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer),
                             final_norm ? norm : Json(), true);
    auto& options = spec.model.options;
    options["position"] = {{"type", "learned"}, {"context", config.integer("max_position_embeddings", 2048)}};
    const int64_t width = config.integer("hidden_size"), inner = config.integer("word_embed_proj_dim", width);
    if (inner != width) {
      if (options["head"] != "lm")
        fail("{}: a narrow embedding of OPT is known with its language-model head alone", config.where());
      options["embed_width"] = inner, options["head"] = {{"type", "lm"}, {"project", inner}};
    }
    return spec;
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "model.decoder.embed_tokens");
    rules.map("embed.project", "model.decoder.project_in");
    rules.add("position.weight", {"model.decoder.embed_positions.weight"}, weight_op::without_first_rows(2));
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("model.decoder.layers.{}.", i);
      const auto attention = theirs + "self_attn.";
      rules.map(ours + "mixer.norm", theirs + "self_attn_layer_norm");
      rules.attention(ours + "mixer", attention + "q_proj", attention + "k_proj", attention + "v_proj",
                      attention + "out_proj");
      rules.map(ours + "channel.norm", theirs + "final_layer_norm");
      rules.map(ours + "channel.up", theirs + "fc1");
      rules.map(ours + "channel.down", theirs + "fc2");
    }
    rules.map("norm", "model.decoder.final_layer_norm");
    rules.map("head.project", "model.decoder.project_out");
    rules.map("head", "lm_head");
  }
  TheirNames names() const override { return {"model.", {"lm_head.weight"}}; }
};

FORMWORK_PART(Family, Opt, "opt", "OPT, Galactica");

}  // namespace
}  // namespace formwork
