#include "formwork/interop/families/bert_layers.h"

namespace formwork {

Spec bert_spec(const Config& config, const BertSizes& sizes, const Json& head, bool tie) {
  const Json norm = {{"type", "layer_norm"}, {"eps", sizes.eps}};
  const Json layer = {
      {"type", "post"},
      {"norm", norm},
      {"mixer", {{"type", "attention"}, {"heads", sizes.heads}, {"bias", true}, {"out_bias", true}}},
      {"channel", {{"type", "mlp"}, {"hidden", sizes.hidden}, {"activation", sizes.activation}}}};
  Spec spec;
  spec.model = {"encoder",
                {{"vocab", config.integer("vocab_size")},
                 {"width", sizes.width},
                 {"segments", sizes.segments},
                 {"position", {{"type", "learned"}, {"context", sizes.positions}}},
                 {"stem_norm", norm},
                 {"layers", {{"repeat", sizes.layers}, {"pattern", Json::array({layer})}}},
                 {"norm", nullptr},
                 {"head", head},
                 {"tie", tie}}};
  return spec;
}

BertSizes bert_sizes(const Config& config) {
  config.require("is_decoder", false, "a decoder of this family is not known");
  config.require("add_cross_attention", false, "a decoder of this family is not known");
  config.require("position_embedding_type", "absolute", "relative positions of BERT are not known");
  BertSizes sizes;
  sizes.width = config.integer("hidden_size"), sizes.layers = config.integer("num_hidden_layers");
  sizes.heads = config.integer("num_attention_heads"), sizes.hidden = config.integer("intermediate_size");
  sizes.positions = config.integer("max_position_embeddings", 512);
  sizes.segments = config.integer("type_vocab_size", 2);
  sizes.eps = config.number("layer_norm_eps", 1e-12);
  sizes.activation = activation_of(config, "hidden_act", "gelu");
  return sizes;
}

void bert_rules(WeightRules& rules, const std::string& prefix, int64_t skipped) {
  const auto embeddings = prefix + "embeddings.";
  rules.map("embed", embeddings + "word_embeddings");
  rules.add("position.weight", {embeddings + "position_embeddings.weight"},
            skipped ? weight_op::without_first_rows(skipped) : weight_op::same());
  rules.add("embed.segments", {embeddings + "token_type_embeddings.weight"});
  rules.map("embed.norm", embeddings + "LayerNorm");
  for (int64_t i = 0; i < rules.count("layers."); ++i) {
    const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("{}encoder.layer.{}.", prefix, i);
    const auto self = theirs + "attention.self.", out = theirs + "attention.output.";
    rules.attention(ours + "mixer", self + "query", self + "key", self + "value", out + "dense");
    rules.map(ours + "mixer.norm", out + "LayerNorm");
    rules.map(ours + "channel.up", theirs + "intermediate.dense");
    rules.map(ours + "channel.down", theirs + "output.dense");
    rules.map(ours + "channel.norm", theirs + "output.LayerNorm");
  }
}

}  // namespace formwork
