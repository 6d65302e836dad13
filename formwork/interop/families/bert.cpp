// BERT (Devlin et al., 2018): masked language model, classifier, or the encoder alone with its pooler.
#include "formwork/interop/families/bert_layers.h"

namespace formwork {
namespace {

class Bert final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Bert(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"BertForMaskedLM", "BertForSequenceClassification", "BertModel", "BertForPreTraining"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const auto sizes = bert_sizes(config);
    const bool tie = config.flag("tie_word_embeddings", true);
    const Json norm = {{"type", "layer_norm"}, {"eps", sizes.eps}};
    if (architecture == "BertModel") return bert_spec(config, sizes, {{"type", "pooler"}}, false);
    if (architecture == "BertForSequenceClassification")
      return bert_spec(
          config, sizes,
          {{"type", "classifier"}, {"pool", "first"}, {"hidden", true}, {"classes", label_count(config)}},
          false);
    return bert_spec(config, sizes, {{"type", "masked_lm"}, {"activation", sizes.activation}, {"norm", norm}},
                     tie);
  }

  void fit(Spec& spec, const Stored& stored) const override { leave_out_pooler(spec, stored); }

  void rules(WeightRules& rules) const override {
    bert_rules(rules, "bert.", 0);
    rules.map("head.hidden", "bert.pooler.dense");
    rules.map("head.classes", "classifier");
    rules.map("head.transform", "cls.predictions.transform.dense");
    rules.map("head.norm", "cls.predictions.transform.LayerNorm");
    rules.add("head.weight", {"cls.predictions.decoder.weight"});
    rules.add("head.bias", {"cls.predictions.bias"});
  }

  // Heads of other tasks than the one that the config names stay unread.
  TheirNames names() const override {
    return {"bert.", {"*embeddings.position_ids", "*pooler.dense.*", "cls.*", "*classifier.*"}};
  }

  Json config(const Json& spec) const override {
    const Json& model = spec.at("model");
    if (model.at("type") != "encoder" || model.at("layers").empty()) return nullptr;
    const Json& layer = model.at("layers").at(0);
    const Json mixer = layer.value("mixer", Json()), channel = layer.value("channel", Json());
    const Json& head = model.at("head");
    if (!mixer.is_object() || !channel.is_object() || !mixer.contains("heads") ||
        channel.at("type") != "mlp" || model.at("position").at("type") != "learned")
      return nullptr;
    Json config = {{"architectures", {architecture(head.at("type"))}},
                   {"vocab_size", model.at("vocab")},
                   {"hidden_size", model.at("width")},
                   {"num_hidden_layers", model.at("layers").size()},
                   {"num_attention_heads", mixer.at("heads")},
                   {"intermediate_size", channel.at("hidden")},
                   {"hidden_act", their_activation(channel.at("activation").at("type"))},
                   {"max_position_embeddings", model.at("position").at("context")},
                   {"type_vocab_size", model.at("segments")},
                   {"layer_norm_eps", layer.at("norm").at("eps")},
                   {"tie_word_embeddings", model.at("tie")}};
    if (head.contains("classes")) config["id2label"] = label_names(head.at("classes"));
    return config;
  }

 private:
  static std::string architecture(const std::string& head) {
    if (head == "classifier") return "BertForSequenceClassification";
    return head == "masked_lm" ? "BertForMaskedLM" : "BertModel";
  }
};

FORMWORK_PART(Family, Bert, "bert", "BERT: masked language model, classifier, encoder");

}  // namespace
}  // namespace formwork
