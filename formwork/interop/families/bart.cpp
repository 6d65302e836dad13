// BART (Lewis et al., 2020): an encoder and a decoder that normalize after each sub-block, with learned
// positions. Marian (Junczys-Dowmunt et al., 2018): the same with fixed positions and no norm on the
// embedding.
#include "formwork/interop/families/family.h"

namespace formwork {
namespace {

const Json& norm() {
  static const Json norm = {{"type", "layer_norm"}};
  return norm;
}

// Layers of one side ("encoder", "decoder").
Json layers(const Config& config, const std::string& side) {
  const Json attention = {{"type", "attention"},
                          {"heads", config.integer(side + "_attention_heads")},
                          {"bias", true},
                          {"out_bias", true}};
  Json layer = {{"type", "post"},
                {"norm", norm()},
                {"mixer", attention},
                {"channel",
                 {{"type", "mlp"},
                  {"hidden", config.integer(side + "_ffn_dim")},
                  {"activation", activation_of(config, "activation_function", "gelu")}}}};
  if (side == "decoder") {
    layer["cross"] = attention;
    layer["cross"]["memory"] = "memory";
  }
  return {{"repeat", config.integer(side + "_layers")}, {"pattern", Json::array({layer})}};
}

Spec bart_spec(const Config& config, const Json& position, const Json& stem_norm) {
  config.skip({"num_hidden_layers", "add_bias_logits", "hidden_act"});  // said twice, or never read
  config.require("normalize_before", false, "norms stand after each sub-block");
  config.require("add_final_layer_norm", false, "there is no norm at the end");
  config.require("is_decoder", false, "an encoder and a decoder are known together");
  const int64_t width = config.integer("d_model");
  const bool scaled = config.flag("scale_embedding", false);
  Spec spec;
  spec.model = {"encoder_decoder",
                {{"vocab", config.integer("vocab_size")},
                 {"width", width},
                 {"norm", nullptr},
                 {"position", position},
                 {"stem_norm", stem_norm},
                 {"stem_scale", scaled ? std::sqrt(static_cast<double>(width)) : 1.0},
                 {"encoder_layers", layers(config, "encoder")},
                 {"decoder_layers", layers(config, "decoder")},
                 {"tie", config.flag("tie_word_embeddings", true)},
                 {"head", {{"type", "lm"}, {"bias", true}}}}};
  return spec;
}

void layer_rules(WeightRules& rules, const std::string& ours, const std::string& theirs) {
  const auto attention = [&](const std::string& mixer, const std::string& name) {
    rules.attention(ours + mixer, name + ".q_proj", name + ".k_proj", name + ".v_proj", name + ".out_proj");
    rules.map(ours + mixer + ".norm", name + "_layer_norm");
  };
  attention("mixer", theirs + "self_attn");
  attention("cross", theirs + "encoder_attn");
  rules.map(ours + "channel.up", theirs + "fc1");
  rules.map(ours + "channel.down", theirs + "fc2");
  rules.map(ours + "channel.norm", theirs + "final_layer_norm");
}

void bart_rules(WeightRules& rules) {
  rules.map("encoder.embed", "model.shared");
  for (const std::string tower : {"encoder", "decoder"}) {
    const auto theirs = fmt::format("model.{}.", tower);
    rules.add(tower + ".position.weight", {theirs + "embed_positions.weight"},
              weight_op::without_first_rows(2));
    rules.map(tower + ".embed.norm", theirs + "layernorm_embedding");
    for (int64_t i = 0; i < rules.count(tower + ".layers."); ++i)
      layer_rules(rules, fmt::format("{}.layers.{}.", tower, i), fmt::format("{}layers.{}.", theirs, i));
  }
  rules.add("head.weight", {"lm_head.weight"});
  if (!rules.has("head.bias")) return;
  const int64_t vocab = rules.param("head.bias").dims.at(0).size();
  rules.add("head.bias", {"final_logits_bias"}, weight_op::reshaped({vocab}, {1, vocab}));
}

class Bart final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Bart(const Options&) {}
  std::vector<std::string> architectures() const override { return {"BartForConditionalGeneration"}; }
  Spec spec(const Config& config, const std::string&) const override {
    config.require("normalize_embedding", true, "the embedding has a norm");
    return bart_spec(
        config, {{"type", "learned"}, {"context", config.integer("max_position_embeddings", 1024)}}, norm());
  }
  void rules(WeightRules& rules) const override { bart_rules(rules); }
  TheirNames names() const override { return {"", {"model.*coder.embed_tokens.weight", "lm_head.weight"}}; }
};

class Marian final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Marian(const Options&) {}
  std::vector<std::string> architectures() const override { return {"MarianMTModel"}; }
  Spec spec(const Config& config, const std::string&) const override {
    config.require("share_encoder_decoder_embeddings", true, "both sides read one vocabulary");
    config.require("normalize_embedding", false, "the embedding has no norm");
    config.require("decoder_vocab_size", config.integer("vocab_size"), "both sides read one vocabulary");
    config.skip({"max_position_embeddings"});  // fixed positions have no last one
    return bart_spec(config, {{"type", "sinusoidal"}, {"layout", "half"}}, nullptr);
  }
  void rules(WeightRules& rules) const override { bart_rules(rules); }
  TheirNames names() const override {
    return {"",
            {"model.*coder.embed_tokens.weight", "model.*coder.embed_positions.weight", "lm_head.weight"}};
  }
};

FORMWORK_PART(Family, Bart, "bart", "BART");
FORMWORK_PART(Family, Marian, "marian", "Marian, the OPUS translation models");

}  // namespace
}  // namespace formwork
