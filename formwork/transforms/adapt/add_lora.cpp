#include "formwork/transforms/adapt/add_lora.h"

#include "formwork/core/random.h"
#include "formwork/linear/nested.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

// Why a map gets no update.
Stays why_without(const Model& model, const LinearMap& map) {
  const auto role = map.role();
  if (!is_block_role(role)) return {fmt::format("a map of role '{}' stays as it is", role_name(role))};
  if (const auto* outer = enclosing(model.inventory().maps, map))
    return {fmt::format("a piece of '{}'", outer->path())};
  if (map.params().empty()) return {"it has no parameters of its own"};
  if (map.type() == "lora") return {"it has an update already", true};
  if (map.banks() > 0) return {fmt::format("a bank of {} matrices", map.banks()), true};
  return {};
}

at::TensorOptions floating(const Model& model) {
  for (const auto& param : model.inventory().params)
    if (param.value.defined() && param.value.is_floating_point() && !param.rule.keep_dtype)
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

bool names(const Json& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const Json& pattern) { return matches(pattern.get<std::string>(), name); });
}

// Returns the row of the map.
Json add_update(Edit& edit, const LinearMap& map, const LoraOptions& options) {
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
  PartSpec lora("lora");
  lora.options = {{"rank", options.rank},
                  {"alpha", options.alpha},
                  {"dropout", options.dropout},
                  {"base", base_of(edit.spec(), map)}};
  if (map.bias() && names(options.train, map.bias()->name)) lora.options["train_bias"] = true;
  edit.replace(map, lora, tensors);
  for (const auto& [key, value] : inner) edit.spec().linear[key] = value;
  return {{"map", path}, {"update", options.rank * (map.in() + map.out())}};
}

// What trains beside the updates that `paths` have.
std::vector<std::string> trained_names(const std::vector<std::string>& paths, const LoraOptions& options) {
  std::vector<std::string> list;
  for (const auto& path : paths) list.insert(list.end(), {path + ".a", path + ".b"});
  for (const auto& pattern : options.train) list.push_back(pattern.get<std::string>());
  return list;
}

// Each pattern must name something that trains; the names that would have done are those of the model before,
// but for what updates have frozen.
void check_trained(const Model& before, const Model& adapted, const LoraOptions& options) {
  const auto& params = adapted.inventory().params;
  for (const auto& pattern : options.train) {
    const auto text = pattern.get<std::string>();
    if (std::any_of(params.begin(), params.end(),
                    [&](const Param& param) { return param.trainable() && matches(text, param.name); }))
      continue;
    std::vector<std::string> list;
    for (const auto& param : before.inventory().params)
      if (param.trainable() && adapted.inventory().by_name.count(param.name)) list.push_back(param.name);
    fail_unknown("add_lora: parameter that can train", text, list);
  }
}

class AddLora final : public Transform {
 public:
  using Options = LoraOptions;
  explicit AddLora(const Options& options) : options_(options) { options.check("add_lora"); }
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  bool reads_data() const override { return false; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    auto result = with_lora(model, options_);
    result.model->inventory().spec.history.push_back(
        {{"transform", "add_lora"}, {"options", options_json(options_)}});
    return result;
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, AddLora, "add_lora", "a low-rank update beside every map; only the updates train");

}  // namespace

void LoraOptions::describe(Fields& f) {
  f.integer("rank", rank, "inner width of the update", 1, 65536);
  f.number("alpha", alpha, "the update is multiplied by alpha / rank", 0, 1e6);
  f.number("dropout", dropout, "on the update's input, in training", 0, 1);
  f.json("train", train,
         "patterns of parameters that train beside the updates: [\"*.norm.weight\", \"embed*\"]");
}

void LoraOptions::check(const std::string& where) const {
  if (!train.is_array()) fail("{}: option 'train' must be a list of patterns", where);
  for (const auto& pattern : train)
    if (!pattern.is_string()) fail("{}: option 'train' holds {}, expected a pattern", where, pattern.dump());
}

void RecoveryOptions::describe(Fields& f) {
  f.choice("recovery", recovery, {"none", "lora"},
           "lora: updates beside the maps, to be trained and then merged by to_dense");
  f.integer("lora_rank", lora.rank, "inner width of an update", 1, 65536);
  f.number("lora_alpha", lora.alpha, "an update is multiplied by alpha / rank", 0, 1e6);
  f.number("lora_dropout", lora.dropout, "on an update's input, in training", 0, 1);
  f.json("lora_train", lora.train, "patterns of parameters that train beside the updates");
}

void RecoveryOptions::apply(TransformResult& result) const {
  if (recovery != "lora") return;
  lora.check("recovery 'lora'");
  const auto adapted = with_lora(result.model, lora);
  result.model = adapted.model;
  for (const auto& line : adapted.report.value("warnings", Json::array()))
    result.report["warnings"].push_back(line);
}

TransformResult with_lora(const std::shared_ptr<Model>& model, const LoraOptions& options) {
  const at::NoGradGuard guard;
  Edit edit(*model);
  TransformResult result{model, {{"maps", Json::array()}}};
  std::vector<std::string> adapted;
  for (const auto* map : model->inventory().maps) {
    if (map->type() == "lora") adapted.push_back(map->path());
    const auto stays = why_without(*model, *map);
    result.report["maps"].push_back(stays.reason.empty() ? add_update(edit, *map, options)
                                                         : row_of(*map, stays));
    if (stays.reason.empty()) adapted.push_back(map->path());
  }
  const auto& rows = result.report["maps"];
  if (std::none_of(rows.begin(), rows.end(), [](const Json& row) { return row.contains("update"); }))
    fail("add_lora: the model has no map of a block that takes an update");
  warn_of_left_maps(result.report);
  edit.train_only(trained_names(adapted, options));
  result.model = edit.finish();
  check_trained(*model, *result.model, options);
  return result;
}

}  // namespace formwork
