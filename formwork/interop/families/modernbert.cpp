// ModernBERT (Warner et al., 2024): an encoder of pre-norm layers, each global with one rotary base or local
// with another; gated MLPs; the first layer has no norm before its attention.
#include "formwork/interop/families/bert_layers.h"
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class ModernBert final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit ModernBert(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"ModernBertForMaskedLM", "ModernBertForSequenceClassification", "ModernBertModel"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    // How kernels and losses work, and what the head of another architecture would be.
    config.skip({"deterministic_flash_attn", "sparse_prediction", "sparse_pred_ignore_index",
                 "reference_compile", "repad_logits_with_grad", "layer_norm_eps", "position_embedding_type",
                 "classifier_pooling", "decoder_bias", "tie_word_embeddings"});
    const Json norm = {{"type", "layer_norm"},
                       {"eps", config.number("norm_eps", 1e-5)},
                       {"bias", config.flag("norm_bias", false)}};
    Spec spec;
    spec.model = {
        "encoder",
        {{"vocab", config.integer("vocab_size")},
         {"width", config.integer("hidden_size")},
         {"stem_norm", norm},
         {"layers", layers(config, norm)},
         {"norm", norm},
         {"head", head(config, norm, architecture)},
         {"tie", architecture == "ModernBertForMaskedLM" && config.flag("tie_word_embeddings", true)}}};
    spec.parts["layers.0.mixer.norm"] = "identity";
    return spec;
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "model.embeddings.tok_embeddings");
    rules.map("embed.norm", "model.embeddings.norm");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("model.layers.{}.", i);
      rules.map(ours + "mixer.norm", theirs + "attn_norm");
      rules.map(ours + "mixer.qkv", theirs + "attn.Wqkv");
      rules.map(ours + "mixer.out", theirs + "attn.Wo");
      rules.map(ours + "channel.norm", theirs + "mlp_norm");
      rules.map(ours + "channel.gate_up", theirs + "mlp.Wi");
      rules.map(ours + "channel.down", theirs + "mlp.Wo");
    }
    rules.map("norm", "model.final_norm");
    rules.map("head.transform", "head.dense");
    rules.map("head.hidden", "head.dense");
    rules.map("head.norm", "head.norm");
    rules.map("head.classes", "classifier");
    rules.map("head", "decoder");
  }
  TheirNames names() const override {
    return {"model.", {"head.*", "decoder.*", "classifier.*", "*.rotary_emb.inv_freq"}};
  }

 private:
  static Json head(const Config& config, const Json& norm, const std::string& architecture) {
    const auto activation = activation_of(config, "classifier_activation", "gelu");
    const bool bias = config.flag("classifier_bias", false);
    if (architecture == "ModernBertModel") return "hidden";
    if (architecture == "ModernBertForMaskedLM")
      return {{"type", "masked_lm"},
              {"activation", activation},
              {"norm", norm},
              {"transform_bias", bias},
              {"bias", config.flag("decoder_bias", true)}};
    const auto pooling = config.text("classifier_pooling", "cls");
    if (pooling != "cls" && pooling != "mean")
      fail("{}: 'classifier_pooling': expected cls or mean, found {}", config.where(), pooling);
    return {{"type", "classifier"},
            {"pool", pooling == "cls" ? "first" : "mean"},
            {"hidden", true},
            {"hidden_bias", bias},
            {"activation", activation},
            {"norm", norm},
            {"classes", label_count(config)}};
  }

  static Json layers(const Config& config, const Json& norm) {
    const int64_t count = config.layers("num_hidden_layers");
    const int64_t every = config.integer("global_attn_every_n_layers", 3);
    if (every == 0) fail("{}: 'global_attn_every_n_layers': expected at least 1, found 0", config.where());
    // A token and half of the window on either side.
    const int64_t window = config.integer("local_attention", 128) / 2 + 1;
    const bool bias = config.flag("attention_bias", false), by_kind = config.has("rope_parameters");
    const double global = config.number("global_rope_theta", 160000),
                 local = config.number("local_rope_theta", 10000);
    const auto position = [&](bool slides) {
      return rotary_of(config, slides ? local : global, 1,
                       !by_kind ? ""
                       : slides ? "sliding_attention"
                                : "full_attention");
    };
    const Json channel = {{"type", "gated_mlp"},
                          {"hidden", config.integer("intermediate_size")},
                          {"activation", activation_of(config, "hidden_activation", "gelu")},
                          {"bias", config.flag("mlp_bias", false)}};
    Json list = Json::array();
    for (const int64_t width : windows(config, count, window, [&](int64_t i) { return i % every != 0; })) {
      Json mixer = {{"type", "attention"}, {"heads", config.integer("num_attention_heads")},
                    {"bias", bias},        {"out_bias", bias},
                    {"window", width},     {"position", position(width > 0)}};
      list.push_back({{"type", "pre"}, {"norm", norm}, {"mixer", mixer}, {"channel", channel}});
    }
    return list;
  }
};

FORMWORK_PART(Family, ModernBert, "modernbert", "ModernBERT: masked language model, classifier, encoder");

}  // namespace
}  // namespace formwork
