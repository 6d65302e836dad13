#include "formwork/transforms/adapt/add_lora.h"

#include "formwork/core/random.h"
#include "formwork/linear/nested.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

bool takes_update(const Model& model, const LinearMap& map) {
  const auto role = map.role();
  return role != Role::embed && role != Role::head && role != Role::router && role != Role::shortcut &&
         role != Role::conv && map.type() != "lora" && map.banks() == 0 && !map.params().empty() &&
         !enclosing(model.inventory().maps, map);
}

at::TensorOptions floating(const Model& model) {
  for (const auto& param : model.inventory().params)
    if (param.value.defined() && param.value.is_floating_point() && !param.rule.frozen)
      return param.value.options().requires_grad(false);
  return at::kFloat;
}

// How the map is kept now, as the base of its update: what the Spec says, without the bias, which stays
// outside.
Json base_of(const Spec& spec, const LinearMap& map) {
  const Json* entry = lookup(spec.linear, map.path());
  if (!entry) return "dense";
  auto base = PartSpec::from_json(*entry, map.path());
  base.options.erase("bias");
  return base.to_json();
}

void add_update(Edit& edit, const LinearMap& map, const LoraOptions& options) {
  const auto& path = map.path();
  const auto below = [&](const std::string& name) { return "base" + name.substr(path.size()); };
  TensorMap tensors;
  for (const auto* param : map.params())
    if (param != map.bias()) tensors[below(param->name)] = param->value;
  const auto type = floating(edit.model());
  tensors["a"] = at::empty({options.rank, map.in()}, type);
  init::fan_in_uniform().fill(tensors["a"], make_stream(0, path + ".a"));
  tensors["b"] = at::zeros({map.out(), options.rank}, type);
  // Entries of the table for maps inside this one go where those maps go.
  std::map<std::string, Json> inner;
  for (const auto& [key, value] : edit.spec().linear.items())
    if (key.rfind(path + ".", 0) == 0) inner[path + "." + below(key)] = value;
  const PartSpec lora = PartSpec::from_json({{"type", "lora"},
                                             {"rank", options.rank},
                                             {"alpha", options.alpha},
                                             {"dropout", options.dropout},
                                             {"base", base_of(edit.spec(), map)}},
                                            path);
  edit.replace(map, lora, tensors);
  for (const auto& [key, value] : inner) edit.spec().linear[key] = value;
}

class AddLora final : public Transform {
 public:
  using Options = LoraOptions;
  explicit AddLora(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  bool reads_data() const override { return false; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    const auto adapted = with_lora(model, options_);
    adapted->inventory().spec.history.push_back(
        {{"transform", "add_lora"}, {"options", options_json(options_)}});
    return {adapted, Json::object()};
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, AddLora, "add_lora", "a trained low-rank update beside every map, which is frozen");

}  // namespace

void LoraOptions::describe(Fields& f) {
  f.integer("rank", rank, "inner width of the update", 1, 65536);
  f.number("alpha", alpha, "the update is multiplied by alpha / rank", 0, 1e6);
  f.number("dropout", dropout, "on the update's input, in training", 0, 1);
}

void RecoveryOptions::describe(Fields& f) {
  f.choice("recovery", recovery, {"none", "lora"},
           "lora: updates beside the maps, to be trained and then merged by to_dense");
  f.integer("lora_rank", lora.rank, "inner width of an update", 1, 65536);
  f.number("lora_alpha", lora.alpha, "an update is multiplied by alpha / rank", 0, 1e6);
  f.number("lora_dropout", lora.dropout, "on an update's input, in training", 0, 1);
}

std::shared_ptr<Model> RecoveryOptions::apply(const std::shared_ptr<Model>& model) const {
  return recovery == "lora" ? with_lora(model, lora) : model;
}

std::shared_ptr<Model> with_lora(const std::shared_ptr<Model>& model, const LoraOptions& options) {
  const at::NoGradGuard guard;
  Edit edit(*model);
  bool any = false;
  for (const auto* map : model->inventory().maps)
    if (takes_update(*model, *map)) {
      add_update(edit, *map, options);
      any = true;
    }
  if (!any) fail("add_lora: the model has no map of a block that takes an update");
  return edit.finish();
}

}  // namespace formwork
