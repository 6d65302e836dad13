#include "formwork/interop/families/family.h"

namespace formwork {

FORMWORK_KIND(Family);

namespace {

std::string architecture_of(const Config& config) {
  const Json* list = config.find("architectures");
  if (!list || list->empty()) return "";
  if (!list->is_array() || !list->front().is_string())
    fail("{}: 'architectures': expected a list of names, found {}", config.where(), list->dump());
  return list->front().get<std::string>();
}

// What stands between a config and a family: the first key that the family does not take; or nothing.
std::string what_differs(const Config& config, const std::string& name) {
  try {
    const Config again(config.json(), "it");
    const auto family = Registry<Family>::make(name);
    family->spec(again, family->architectures().front());
    again.finish();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

[[noreturn]] void fail_unknown_type(const Config& config, const std::string& type) {
  const auto names = Registry<Family>::names();
  auto near = nearest(type, names);
  // Without a like name: the family that the config fits.
  for (size_t i = 0; near.empty() && i < names.size(); ++i)
    if (what_differs(config, names[i]).empty()) near = names[i];
  if (near.empty())
    fail("{}: model_type '{}' is not known; known are {}", config.where(), type, fmt::join(names, ", "));
  const auto difference = what_differs(config, near);
  fail("{}: model_type '{}' is not known; the nearest is '{}', {}", config.where(), type, near,
       difference.empty() ? "which knows every key of this config" : "of which this differs: " + difference);
}

}  // namespace

FamilyChoice family_of(const Config& config) {
  FamilyChoice choice;
  choice.name = config.text("model_type", "");
  if (choice.name.empty()) fail("{}: 'model_type' is missing", config.where());
  if (!Registry<Family>::entries().contains(choice.name)) fail_unknown_type(config, choice.name);
  choice.family = Registry<Family>::make(choice.name);
  const auto known = choice.family->architectures();
  choice.architecture = architecture_of(config);
  if (choice.architecture.empty()) choice.architecture = known.front();
  if (std::find(known.begin(), known.end(), choice.architecture) == known.end())
    fail("{}: architecture '{}' of family '{}' is not known; known are {}, which differ in the head",
         config.where(), choice.architecture, choice.name, fmt::join(known, ", "));
  return choice;
}

Spec spec_of(const Config& config) {
  const auto choice = family_of(config);
  auto spec = choice.family->spec(config, choice.architecture);
  config.finish();
  return spec;
}

void leave_out_pooler(Spec& spec, const Stored& stored) {
  const Json& head = spec.model.options.at("head");
  if (!head.is_object() || head.at("type") != "pooler" || !head.value("hidden", true)) return;
  if (!stored("*pooler.dense.weight")) spec.model.options["head"] = "hidden";
}

int64_t label_count(const Config& config) {
  const Json* labels = config.find("id2label");
  return labels && labels->is_object() ? static_cast<int64_t>(labels->size())
                                       : config.integer("num_labels", 2);
}

Json label_names(int64_t classes) {
  Json names = Json::object();
  for (int64_t i = 0; i < classes; ++i) names[std::to_string(i)] = fmt::format("LABEL_{}", i);
  return names;
}

namespace {

bool is_for_training(const std::string& option) {
  static const std::set<std::string> names = {
      "dropout", "drop_path",     "std",    "router_dropout", "balance",       "balance_loss", "z",
      "jitter",  "capacity",      "start",  "sample_topk",    "grown_penalty", "dt_min",       "dt_max",
      "dt_init", "dt_init_floor", "a_init", "momentum",       "fused"};
  return names.contains(option);
}

const KindListing& listing(const std::string& kind) {
  for (const auto& listing : kind_listings())
    if (kind == listing.kind) return listing;
  fail("no kind '{}' is registered", kind);
}

Json part_in_force(const std::string& kind, const Json& part, const std::string& where);

// As the models read their layers: a list, or a pattern that is repeated.
Json layers_in_force(const Json& layers, const std::string& where) {
  Json list = Json::array();
  const bool repeated = layers.is_object();
  const Json pattern = repeated ? layers.value("pattern", Json::array()) : layers;
  const int64_t times = repeated ? layers.value("repeat", Json(1)).get<int64_t>() : 1;
  for (int64_t i = 0; i < times; ++i)
    for (Json layer : pattern) {
      if (layer.is_object() && !layer.contains("type")) layer["type"] = "pre";
      list.push_back(part_in_force("wiring", layer, fmt::format("{}[{}]", where, list.size())));
    }
  return list;
}

Json part_in_force(const std::string& kind, const Json& json, const std::string& where) {
  const auto part = PartSpec::from_json(json, where);
  if (!part) return nullptr;
  Json full = {{"type", part.type}};
  const Json schema = listing(kind).schema(part.type);
  for (const auto& [name, field] : schema.items()) {
    if (is_for_training(name)) continue;
    const Json value = part.options.value(name, field.at("default"));
    const auto place = where + "." + name;
    if (field.at("type") == "part")
      full[name] = part_in_force(field.at("kind"), value, place);
    else if (kind == "models" && name.ends_with("layers"))
      full[name] = layers_in_force(value, place);
    else
      full[name] = value;
  }
  return full;
}

}  // namespace

Json in_force(const Spec& spec) {
  Json full = {{"model", part_in_force("models", spec.model.to_json(), "model")}};
  full["linear"] = spec.linear, full["parts"] = spec.parts, full["axes"] = spec.axes;
  full["attach"] = spec.attach;
  // Frozen or not, a model computes the same.
  full["sources"] = Json::object();
  for (const auto& [name, source] : spec.sources.items())
    if (source.value("type", Json()) != "stored") full["sources"][name] = source;
  return full;
}

std::string first_difference(const Json& wanted, const Json& found, const std::string& path) {
  if (wanted == found) return "";
  const auto brief = [](const Json& value) {
    const auto text = value.is_object() ? value.value("type", Json("{...}")).dump() : value.dump();
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
  };
  // Equal objects may list their keys in another order. Of parts of two types only the type counts.
  if (wanted.is_object() && found.is_object() &&
      wanted.value("type", Json()) == found.value("type", Json())) {
    Json keys = wanted;
    keys.update(found);
    for (const auto& [key, value] : keys.items()) {
      const auto place = path.empty() ? key : path + "." + key;
      // A null (a part that is left out) is more than nothing.
      if (wanted.contains(key) != found.contains(key))
        return fmt::format("{}: {}, not {}", place, wanted.contains(key) ? brief(wanted.at(key)) : "nothing",
                           found.contains(key) ? brief(found.at(key)) : "nothing");
      const auto inner = first_difference(wanted.at(key), found.at(key), place);
      if (!inner.empty()) return inner;
    }
    return "";
  }
  if (wanted.is_array() && found.is_array() && wanted.size() == found.size()) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const auto inner = first_difference(wanted[i], found[i], fmt::format("{}[{}]", path, i));
      if (!inner.empty()) return inner;
    }
    return "";
  }
  return fmt::format("{}: {}, not {}", path, brief(wanted), brief(found));
}

}  // namespace formwork
