// DeiT (Touvron et al., 2021): ViT with a distillation token; one classifier, two of which the mean counts,
// or the encoder alone with its pooler.
#include "formwork/interop/families/vision_layers.h"

namespace formwork {
namespace {

class Deit final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Deit(const Options&) {}
  std::vector<std::string> architectures() const override {
    return {"DeiTForImageClassification", kTeacher, "DeiTModel"};
  }

  Spec spec(const Config& config, const std::string& architecture) const override {
    const auto pooler = vit_pooler(config);
    if (architecture == "DeiTModel") return vit_spec(config, pooler, true);
    const int64_t classes = label_count(config);
    if (architecture == kTeacher)
      return vit_spec(config, {{"type", "distilled"}, {"classes", classes}}, true);
    return vit_spec(config, {{"type", "classifier"}, {"pool", "first"}, {"classes", classes}}, true);
  }
  void fit(Spec& spec, const Stored& stored) const override { leave_out_pooler(spec, stored); }

  void rules(WeightRules& rules) const override {
    vit_rules(rules, "deit.");
    rules.map("head.classes", rules.has("head.distillation.weight") ? "cls_classifier" : "classifier");
    rules.map("head.distillation", "distillation_classifier");
  }
  TheirNames names() const override {
    return {"deit.", {"*pooler.dense.*", "*classifier.*", "*embeddings.mask_token"}};
  }

  Json config(const Json& spec) const override {
    auto config = vit_config(spec, true);
    if (config.is_null()) return config;
    const auto head = spec.at("model").at("head").at("type").get<std::string>();
    config["architectures"] = {head == "distilled"    ? kTeacher
                               : head == "classifier" ? "DeiTForImageClassification"
                                                      : "DeiTModel"};
    return config;
  }

 private:
  static constexpr const char* kTeacher = "DeiTForImageClassificationWithTeacher";
};

FORMWORK_PART(Family, Deit, "deit", "DeiT: image classifier, with a distilled one, encoder");

}  // namespace
}  // namespace formwork
