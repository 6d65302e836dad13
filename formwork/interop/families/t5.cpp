// T5 (Raffel et al., 2020), its version 1.1 and Flan: RMSNorm, no biases, attention without scale, distances
// in buckets whose biases all layers of a tower share.
#include "formwork/interop/families/family.h"

namespace formwork {
namespace {

class T5 final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit T5(const Options&) {}
  std::vector<std::string> architectures() const override { return {"T5ForConditionalGeneration"}; }

  Spec spec(const Config& config, const std::string&) const override {
    config.skip({"is_gated_act", "dense_act_fn", "n_positions", "num_hidden_layers"});  // said twice
    config.require("is_decoder", false, "an encoder and a decoder are known together");
    const int64_t layers = config.integer("num_layers"), width = config.integer("d_model");
    // Version 1.1 says by an untied head that the stream is not scaled.
    const bool tie = config.flag("tie_word_embeddings", true);
    const bool scaled = config.flag("scale_decoder_outputs", tie);
    Spec spec;
    spec.model = {
        "encoder_decoder",
        {{"vocab", config.integer("vocab_size")},
         {"width", width},
         {"norm", norm(config)},
         {"encoder_layers", repeated(layers, layer(config, false))},
         {"decoder_layers", repeated(config.integer("num_decoder_layers", layers), layer(config, true))},
         {"tie", tie},
         {"head", {{"type", "lm"}, {"scale", scaled ? 1 / std::sqrt(static_cast<double>(width)) : 1.0}}}}};
    for (const std::string tower : {"encoder", "decoder"})
      spec.sources[tower + ".layers.*.mixer.position.weight"] = {
          {"type", "shared"}, {"with", tower + ".layers.0.mixer.position.weight"}};
    return spec;
  }

  void rules(WeightRules& rules) const override {
    rules.map("encoder.embed", "shared");
    for (const std::string tower : {"encoder", "decoder"}) {
      for (int64_t i = 0; i < rules.count(tower + ".layers."); ++i)
        layer_rules(rules, fmt::format("{}.layers.{}.", tower, i),
                    fmt::format("{}.block.{}.layer.", tower, i), tower == "decoder");
      rules.map(tower + ".norm", tower + ".final_layer_norm");
    }
    rules.map("head", "lm_head");
  }
  TheirNames names() const override {
    // The embedding under its other names; a table that old files have and nothing reads.
    return {"",
            {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight",
             "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}};
  }

 private:
  static Json repeated(int64_t times, const Json& layer) {
    return {{"repeat", times}, {"pattern", Json::array({layer})}};
  }

  static Json norm(const Config& config) {
    return {{"type", "rms_norm"}, {"eps", config.number("layer_norm_epsilon", 1e-6)}};
  }

  static Json channel(const Config& config) {
    auto name = config.text("feed_forward_proj", "relu");
    const bool gated = name.starts_with("gated-");
    if (gated) name = name.substr(6);
    // The gated form was trained with the tanh approximation.
    const Config named(Json::object({{"feed_forward_proj", gated && name == "gelu" ? "gelu_new" : name}}),
                       config.where());
    return {{"type", gated ? "gated_mlp" : "mlp"},
            {"hidden", config.integer("d_ff")},
            {"bias", false},
            {"activation", activation_of(named, "feed_forward_proj", "relu")}};
  }

  static Json layer(const Config& config, bool decoder) {
    Json attention = {{"type", "attention"},
                      {"heads", config.integer("num_heads")},
                      {"head_width", config.integer("d_kv")},
                      {"scale", 1.0}};
    Json layer = {{"type", "pre"}, {"norm", norm(config)}, {"channel", channel(config)}};
    layer["mixer"] = attention;
    layer["mixer"]["position"] = {{"type", "t5"},
                                  {"buckets", config.integer("relative_attention_num_buckets", 32)},
                                  {"max_distance", config.integer("relative_attention_max_distance", 128)}};
    if (!decoder) return layer;
    attention["memory"] = "memory";
    layer["cross"] = attention;
    return layer;
  }

  static void layer_rules(WeightRules& rules, const std::string& ours, const std::string& theirs,
                          bool decoder) {
    const auto attention = [&](const std::string& mixer, const std::string& name) {
      rules.attention(ours + mixer, name + ".q", name + ".k", name + ".v", name + ".o");
    };
    attention("mixer", theirs + "0.SelfAttention");
    rules.add(ours + "mixer.position.weight", {theirs + "0.SelfAttention.relative_attention_bias.weight"});
    rules.map(ours + "mixer.norm", theirs + "0.layer_norm");
    if (decoder) {
      attention("cross", theirs + "1.EncDecAttention");
      rules.map(ours + "cross.norm", theirs + "1.layer_norm");
    }
    const auto last = theirs + (decoder ? "2." : "1."), dense = last + "DenseReluDense.";
    rules.map(ours + "channel.norm", last + "layer_norm");
    rules.map(ours + "channel.up", dense + "wi");
    rules.gated(ours + "channel", dense + "wi_0", dense + "wi_1", dense + "wo");
  }
};

FORMWORK_PART(Family, T5, "t5", "T5, T5 1.1, Flan-T5");

}  // namespace
}  // namespace formwork
