#include "formwork/interop/hugging_face.h"

#include "formwork/core/json_text.h"
#include "formwork/core/wildcard.h"
#include "formwork/interop/companions.h"
#include "formwork/interop/families/family.h"
#include "formwork/interop/hugging_face_format.h"
#include "formwork/interop/in_force.h"
#include "formwork/interop/inventory_parameters.h"
#include "formwork/interop/raw_tensor.h"
#include "formwork/interop/sentence_transformers.h"
#include "formwork/transforms/convert/rotary_layout.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

// The model to be written. Sizes that its options leave to the width (0) are said in `sized`, by the axes
// that have them, so that a config can state them.
struct Wanted {
  const Inventory* inventory;
  Json sized;
  std::map<std::string, int64_t> implied;  // by axis
};

// Calls work(value, axis) for the size options of the parts of each layer.
void for_each_size(Json& spec, const std::function<void(Json&, const std::string&)>& work) {
  static const std::vector<std::pair<const char*, const char*>> sizes = {
      {"kv_heads", "kv_heads"}, {"head_width", "qk_width"}, {"hidden", "hidden"}, {"dt_rank", "rank"}};
  Json& model = spec["model"];
  if (!model.contains("layers")) return;
  for (size_t i = 0; i < model["layers"].size(); ++i) {
    Json& layer = model["layers"][i];
    const char* both = layer.value("type", Json()) == "parallel" ? "both." : "";
    for (const char* part : {"mixer", "channel"}) {
      if (!layer.contains(part) || !layer[part].is_object()) continue;
      for (const auto& [option, axis] : sizes)
        if (layer[part].contains(option))
          work(layer[part][option], fmt::format("layers.{}.{}{}.{}", i, both, part, axis));
    }
  }
}

// How maps are kept that nobody compressed or adapted.
bool is_plain(const Json& map) {
  const Json type = map.is_object() ? map.value("type", Json("dense")) : map;
  return type == "dense" || type == "conv";
}

Wanted wanted_model(const Inventory& inventory) {
  Wanted wanted{&inventory, in_force(inventory.spec), {}};
  // What a transform made plain again is as if it had no entry; one that gives a map a bias stays.
  auto& linear = wanted.sized["linear"] = Json::object();
  for (const auto& [path, map] : inventory.spec.linear.items())
    if (!is_plain(map) || (map.is_object() && map.contains("bias"))) linear[path] = map;
  for_each_size(wanted.sized, [&](Json& value, const std::string& axis) {
    const auto found = inventory.axes.find(axis);
    if (value != 0 || found == inventory.axes.end()) return;
    value = wanted.implied[axis] = found->second.size;
  });
  return wanted;
}

// The config that describes the model in this family, checked by reading it back: `difference` says what the
// family cannot express.
struct Attempt {
  Json config;
  std::string difference;
};

// Whether the model's tensors, under the family's names, match a pattern.
bool writes(const Inventory& inventory, const std::string& family, const std::string& pattern) {
  const auto parameters = parameters_of(inventory);
  WeightRules rules(parameters);
  Registry<Family>::make(family)->rules(rules);
  for (const auto& rule : rules.list())
    for (const auto& name : rule.theirs)
      if (matches(pattern, name)) return true;
  return false;
}

Attempt try_config(const Wanted& wanted, const std::string& name, Json config, const Json& modules) {
  config["model_type"] = name;
  try {
    const Config theirs(config, name);
    auto spec = spec_of(theirs);
    family_of(theirs).family->fit(
        spec, [&](const std::string& pattern) { return writes(*wanted.inventory, name, pattern); });
    if (!modules.is_null()) SentenceModules::from_json(modules).apply(spec, name);
    Json found = in_force(spec);
    for_each_size(found, [&](Json& value, const std::string& axis) {
      if (const auto size = wanted.implied.find(axis); value == 0 && size != wanted.implied.end())
        value = size->second;
    });
    return {config, first_difference(wanted.sized, found)};
  } catch (const Error& error) {
    return {config, error.what()};
  }
}

Attempt try_family(const Wanted& wanted, const std::string& name) {
  Json config;
  try {
    config = Registry<Family>::make(name)->config(wanted.sized);
  } catch (const Json::exception&) {
    // It asked for an option that the parts of this model do not have.
  }
  return config.is_null() ? Attempt{} : try_config(wanted, name, std::move(config), nullptr);
}

// The family's own config where the model still is what it was read as; or the first family that can.
std::pair<std::string, Json> find_config(const Inventory& inventory, const std::string& family) {
  const auto wanted = wanted_model(inventory);
  const Json origin = inventory.spec.meta.value(kHuggingFaceMeta, Json::object());
  const Json original = origin.value("config", Json());
  std::string first;
  const auto remember = [&](const std::string& name, const Attempt& attempt) {
    if (first.empty() && !attempt.config.is_null())
      first = fmt::format("family '{}' cannot express {}", name, attempt.difference);
  };
  if (original.is_object()) {
    const auto name = original.value("model_type", "");
    if (family.empty() || family == name) {
      const auto attempt = try_config(wanted, name, original, origin.value("modules", Json()));
      if (attempt.difference.empty()) return {name, attempt.config};
      remember(name, attempt);
    }
  }
  auto names = Registry<Family>::names();
  if (!family.empty()) Registry<Family>::find(family), names = {family};
  for (const auto& name : names) {
    const auto attempt = try_family(wanted, name);
    if (attempt.difference.empty() && !attempt.config.is_null()) return {name, attempt.config};
    remember(name, attempt);
  }
  if (first.empty()) first = fmt::format("no family has a model of type {}", inventory.spec.model.type);
  fail("export: {}", first);
}

// Compressed or adapted maps have no place in a folder of transformers.
void require_dense(const Inventory& inventory) {
  for (const auto& [path, map] : inventory.spec.linear.items())
    if (!is_plain(map))
      fail("export: linear map '{}' is kept as {}; expected dense: `formwork compress MODEL to_dense` first",
           path, (map.is_object() ? map.at("type") : map).dump());
}

// What follows from the Spec is not written, so it must be what the Spec says: a GGUF file may have
// frequencies of its own.
void require_own_values(const Parameters& parameters, const Inventory& inventory) {
  for (const auto& [name, parameter] : parameters) {
    if (parameter.shared || !parameter.fixed) continue;
    const auto found = inventory.by_name.at(name)->value.detach().to(at::kDouble);
    const auto said = tensor_of(parameter.fixed()).to(at::kDouble);
    if (!at::allclose(found, said, 1e-5))
      fail(
          "export: '{}' has values that no config can say (its first is {:.6g}, and the model's options give "
          "{:.6g})",
          name, found.flatten()[0].item<double>(), said.flatten()[0].item<double>());
  }
}

Json with_dtype(Json config, const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors)
    if (tensor.is_floating_point()) {
      const auto type = tensor.scalar_type();
      config.erase("dtype");
      config["torch_dtype"] = type == at::kHalf       ? "float16"
                              : type == at::kBFloat16 ? "bfloat16"
                              : type == at::kDouble   ? "float64"
                                                      : "float32";
      break;
    }
  return config;
}

}  // namespace

void export_hugging_face(const std::shared_ptr<Model>& model, const fs::path& from, const fs::path& folder,
                         const HuggingFaceExport& options) {
  const auto arranged = with_rotary_layout(model, Pairs::halves);  // as every family has them
  const auto& inventory = arranged->inventory();
  require_dense(inventory);
  auto [name, config] = find_config(inventory, options.family);
  const auto parameters = parameters_of(inventory);
  require_own_values(parameters, inventory);
  WeightRules rules(parameters);
  Registry<Family>::make(name)->rules(rules);
  auto tensors = tensors_of(export_weights(rules, values_of(inventory)));
  for (auto& [key, tensor] : tensors)
    if (options.dtype && tensor.is_floating_point()) tensor = tensor.to(*options.dtype);
  const Json modules = inventory.spec.meta.value(kHuggingFaceMeta, Json::object()).value("modules", Json());
  fs::create_directories(folder);
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_atomically(folder / "config.json", with_dtype(std::move(config), tensors).dump(2) + "\n");
  if (!modules.is_null()) SentenceModules::from_json(modules).write(folder);
  copy_companions(from, folder);
}

}  // namespace formwork
