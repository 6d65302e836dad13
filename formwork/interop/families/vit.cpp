// ViT (Dosovitskiy et al., 2021): image classifier, or the encoder alone with its pooler.
#include "formwork/interop/families/vision_layers.h"

namespace formwork {
namespace {

class Vit final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Vit(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"ViTForImageClassification", "ViTModel"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const auto pooler = vit_pooler(config);
    if (architecture == "ViTModel") return vit_spec(config, pooler, false);
    return vit_spec(config, {{"type", "classifier"}, {"pool", "first"}, {"classes", label_count(config)}},
                    false);
  }
  void fit(Spec& spec, const Stored& stored) const override { leave_out_pooler(spec, stored); }

  void rules(WeightRules& rules) const override {
    vit_rules(rules, "vit.");
    rules.map("head.classes", "classifier");
  }
  TheirNames names() const override {
    return {"vit.", {"*pooler.dense.*", "classifier.*", "*embeddings.mask_token"}};
  }

  Json config(const Json& spec) const override {
    auto config = vit_config(spec, false);
    if (config.is_null()) return config;
    const bool classifies = spec.at("model").at("head").at("type") == "classifier";
    config["architectures"] = {classifies ? "ViTForImageClassification" : "ViTModel"};
    return config;
  }
};

FORMWORK_PART(Family, Vit, "vit", "ViT: image classifier, encoder");

}  // namespace
}  // namespace formwork
