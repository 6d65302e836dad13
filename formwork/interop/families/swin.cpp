// Swin Transformer (Liu et al., 2021): stages of attention in windows, every second block's shifted, with
// patches merged between them. Image classifier, or the encoder alone with the mean of its tokens.
#include "formwork/interop/families/vision_layers.h"

namespace formwork {
namespace {

// A list of counts, one for each stage.
std::vector<int64_t> counts(const Config& config, const char* key) {
  const Json* list = config.find(key);
  const auto is_count = [](const Json& n) { return n.is_number_integer() && n > 0 && n < 10000; };
  if (!list || !list->is_array() || list->empty() || !std::all_of(list->begin(), list->end(), is_count))
    fail("{}: '{}': expected a list of counts, found {}", config.where(), key,
         list ? list->dump() : "nothing");
  return list->get<std::vector<int64_t>>();
}

Json layer_norm(double eps) { return {{"type", "layer_norm"}, {"eps", eps}}; }

class Swin final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Swin(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"SwinForImageClassification", "SwinModel"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    // Said twice, or of backbones and of a head that makes images.
    config.skip({"encoder_stride", "hidden_size", "num_layers", "stage_names", "out_features", "out_indices",
                 "path_norm"});
    auto stem = patch_stem(config);
    if (!config.has("patch_size")) stem["patch"] = 4;
    stem["class_token"] = false, stem["pad"] = true;
    stem["positions"] = config.flag("use_absolute_embeddings", false);
    stem["norm"] = layer_norm(kEps);
    Json head = {{"type", "classifier"}, {"pool", "mean"}, {"classes", label_count(config)}};
    if (architecture == "SwinModel") head = {{"type", "pooler"}, {"pool", "mean"}, {"hidden", false}};
    Spec spec;
    spec.model = {"image_encoder",
                  {{"stem", stem},
                   {"width", config.integer("embed_dim")},
                   {"layers", layers(config)},
                   {"drop_path", config.number("drop_path_rate", 0.1)},
                   {"norm", layer_norm(config.number("layer_norm_eps", kEps))},
                   {"head", head}}};
    return spec;
  }

  void rules(WeightRules& rules) const override {
    patch_rules(rules, "swin.embeddings.");
    int64_t stage = 0, block = 0;
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("swin.encoder.layers.{}.", stage);
      if (rules.has(ours + "merge.reduce.weight")) {
        rules.map(ours + "merge.norm", theirs + "downsample.norm");
        rules.map(ours + "merge.reduce", theirs + "downsample.reduction");
        ++stage, block = 0;
      } else {
        block_rules(rules, ours, fmt::format("{}blocks.{}.", theirs, block++));
      }
    }
    rules.map("norm", "swin.layernorm");
    rules.map("head.classes", "classifier");
  }
  TheirNames names() const override {
    return {"swin.", {"classifier.*", "*relative_position_index", "*attn_mask", "*embeddings.mask_token"}};
  }

  Json config(const Json& spec) const override {
    const Json& model = spec.at("model");
    if (model.at("type") != "image_encoder" || model.at("layers").empty()) return nullptr;
    const Json& first = model.at("layers").at(0);
    const Json &mixer = first.at("mixer"), &channel = first.at("channel"), &head = model.at("head");
    if (mixer.at("type") != "window_attention") return nullptr;
    Json config = their_patch_stem(model.at("stem"));
    config.update({{"embed_dim", model.at("width")},
                   {"window_size", mixer.at("window")},
                   {"qkv_bias", mixer.at("bias")},
                   {"mlp_ratio", channel.at("hidden").get<double>() / model.at("width").get<double>()},
                   {"hidden_act", their_activation(channel.at("activation").at("type"))},
                   {"use_absolute_embeddings", model.at("stem").at("positions")},
                   {"layer_norm_eps", first.at("norm").at("eps")}});
    std::vector<int64_t> depths(1), heads;
    for (const Json& layer : model.at("layers")) {
      if (layer.at("type") == "patch_merging") {
        depths.push_back(0);
      } else if (++depths.back() == 1) {
        heads.push_back(layer.at("mixer").at("heads"));
      }
    }
    config["depths"] = depths, config["num_heads"] = heads;
    const bool classifies = head.at("type") == "classifier";
    if (classifies) config["id2label"] = label_names(head.at("classes"));
    config["architectures"] = {classifies ? "SwinForImageClassification" : "SwinModel"};
    return config;
  }

 private:
  static constexpr double kEps = 1e-5;

  static Json block(const Config& config, int64_t width, int64_t heads, bool shifted) {
    const int64_t window = config.integer("window_size", 7);
    const double ratio = config.number("mlp_ratio", 4);
    if (!(ratio > 0 && ratio < 1e4))
      fail("{}: 'mlp_ratio': expected a number from 0 to 10000, found {}", config.where(), ratio);
    return {{"type", "pre"},
            {"norm", layer_norm(config.number("layer_norm_eps", kEps))},
            {"mixer",
             {{"type", "window_attention"},
              {"heads", heads},
              {"window", window},
              {"shift", shifted ? window / 2 : 0},
              {"pad", true},
              {"bias", config.flag("qkv_bias", true)}}},
            {"channel",
             {{"type", "mlp"},
              {"hidden", static_cast<int64_t>(ratio * static_cast<double>(width))},
              {"activation", activation_of(config, "hidden_act", "gelu")}}}};
  }

  static Json layers(const Config& config) {
    const auto depths = counts(config, "depths"), heads = counts(config, "num_heads");
    if (depths.size() != heads.size() || depths.size() > 16)
      fail("{}: 'num_heads': expected a number for each of the {} stages (at most 16), found {}",
           config.where(), depths.size(), heads.size());
    Json list = Json::array();
    int64_t width = config.integer("embed_dim");
    for (size_t stage = 0; stage < depths.size(); ++stage, width *= 2) {
      if (stage > 0) list.push_back({{"type", "patch_merging"}, {"norm", layer_norm(kEps)}, {"pad", true}});
      for (int64_t j = 0; j < depths[stage]; ++j)
        list.push_back(block(config, width, heads[stage], j % 2 == 1));
    }
    return list;
  }

  static void block_rules(WeightRules& rules, const std::string& ours, const std::string& theirs) {
    const auto self = theirs + "attention.self.";
    rules.attention(ours + "mixer", self + "query", self + "key", self + "value",
                    theirs + "attention.output.dense");
    rules.add(ours + "mixer.table", {self + "relative_position_bias_table"});
    rules.map(ours + "mixer.norm", theirs + "layernorm_before");
    rules.map(ours + "channel.norm", theirs + "layernorm_after");
    rules.map(ours + "channel.up", theirs + "intermediate.dense");
    rules.map(ours + "channel.down", theirs + "output.dense");
  }
};

FORMWORK_PART(Family, Swin, "swin", "Swin Transformer: image classifier, encoder");

}  // namespace
}  // namespace formwork
