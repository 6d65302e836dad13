// DistilBERT (Sanh et al., 2019): BERT without token types, under other names.
#include "formwork/interop/families/bert_layers.h"

namespace formwork {
namespace {

class DistilBert final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit DistilBert(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"DistilBertForMaskedLM", "DistilBertForSequenceClassification", "DistilBertModel"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    config.skip({"sinusoidal_pos_embds"});  // positions are stored either way
    const bool tie = config.flag("tie_word_embeddings", true);
    BertSizes sizes;
    sizes.width = config.integer("dim"), sizes.layers = config.integer("n_layers");
    sizes.heads = config.integer("n_heads"), sizes.hidden = config.integer("hidden_dim");
    sizes.positions = config.integer("max_position_embeddings", 512);
    sizes.activation = activation_of(config, "activation", "gelu");
    if (architecture == "DistilBertModel") return bert_spec(config, sizes, "hidden", false);
    if (architecture == "DistilBertForSequenceClassification")
      return bert_spec(config, sizes,
                       {{"type", "classifier"},
                        {"pool", "first"},
                        {"hidden", true},
                        {"activation", "relu"},
                        {"classes", label_count(config)}},
                       false);
    const Json norm = {{"type", "layer_norm"}, {"eps", 1e-12}};
    return bert_spec(config, sizes, {{"type", "masked_lm"}, {"activation", sizes.activation}, {"norm", norm}},
                     tie);
  }

  void rules(WeightRules& rules) const override {
    const std::string embeddings = "distilbert.embeddings.";
    rules.map("embed", embeddings + "word_embeddings");
    rules.add("position.weight", {embeddings + "position_embeddings.weight"});
    rules.map("embed.norm", embeddings + "LayerNorm");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i);
      const auto theirs = fmt::format("distilbert.transformer.layer.{}.", i),
                 attention = theirs + "attention.";
      rules.attention(ours + "mixer", attention + "q_lin", attention + "k_lin", attention + "v_lin",
                      attention + "out_lin");
      rules.map(ours + "mixer.norm", theirs + "sa_layer_norm");
      rules.map(ours + "channel.up", theirs + "ffn.lin1");
      rules.map(ours + "channel.down", theirs + "ffn.lin2");
      rules.map(ours + "channel.norm", theirs + "output_layer_norm");
    }
    rules.map("head.hidden", "pre_classifier");
    rules.map("head.classes", "classifier");
    rules.map("head.transform", "vocab_transform");
    rules.map("head.norm", "vocab_layer_norm");
    rules.map("head", "vocab_projector");
  }
  TheirNames names() const override {
    return {"distilbert.", {"vocab_*", "pre_classifier.*", "classifier.*", "*embeddings.position_ids"}};
  }
};

FORMWORK_PART(Family, DistilBert, "distilbert", "DistilBERT: masked language model, classifier, encoder");

}  // namespace
}  // namespace formwork
