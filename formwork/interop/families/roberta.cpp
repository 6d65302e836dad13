// RoBERTa (Liu et al., 2019): BERT whose positions begin after the rows of the padding token.
#include "formwork/interop/families/bert_layers.h"

namespace formwork {
namespace {

class Roberta final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Roberta(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"RobertaForMaskedLM", "RobertaForSequenceClassification", "RobertaModel"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    auto sizes = bert_sizes(config);
    // Position p has the row p + 1 + that of the padding token, whose rows none reads.
    if (config.integer("pad_token_id", 1) != kPadding)
      fail("{}: 'pad_token_id': expected {}, from which positions count, found {}", config.where(), kPadding,
           config.integer("pad_token_id"));
    if (sizes.positions <= kSkipped)
      fail("{}: 'max_position_embeddings': expected more than {}, found {}", config.where(), kSkipped,
           sizes.positions);
    sizes.positions -= kSkipped;
    const bool tie = config.flag("tie_word_embeddings", true);
    const Json norm = {{"type", "layer_norm"}, {"eps", sizes.eps}};
    if (architecture == "RobertaModel") return bert_spec(config, sizes, {{"type", "pooler"}}, false);
    if (architecture == "RobertaForSequenceClassification")
      return bert_spec(
          config, sizes,
          {{"type", "classifier"}, {"pool", "first"}, {"hidden", true}, {"classes", label_count(config)}},
          false);
    return bert_spec(config, sizes, {{"type", "masked_lm"}, {"norm", norm}}, tie);
  }

  void fit(Spec& spec, const Stored& stored) const override { leave_out_pooler(spec, stored); }

  void rules(WeightRules& rules) const override {
    bert_rules(rules, "roberta.", kSkipped);
    const bool classifies = rules.has("head.classes.weight");
    rules.map("head.hidden", classifies ? "classifier.dense" : "roberta.pooler.dense");
    rules.map("head.classes", "classifier.out_proj");
    rules.map("head.transform", "lm_head.dense");
    rules.map("head.norm", "lm_head.layer_norm");
    rules.add("head.weight", {"lm_head.decoder.weight"});
    rules.add("head.bias", {"lm_head.bias"});
  }
  TheirNames names() const override {
    return {"roberta.", {"*embeddings.position_ids", "*pooler.dense.*", "lm_head.*", "classifier.*"}};
  }

 private:
  static constexpr int64_t kPadding = 1, kSkipped = kPadding + 1;
};

FORMWORK_PART(Family, Roberta, "roberta",
              "RoBERTa, and what has its form: masked language model, classifier, encoder");

}  // namespace
}  // namespace formwork
