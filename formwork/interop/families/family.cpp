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
  const std::string where = "config";
  try {
    const Config again(config.json(), where);
    const auto family = Registry<Family>::make(name);
    family->spec(again, family->architectures().front());
    again.finish();
  } catch (const Error& error) {
    const std::string message = error.what(), prefix = where + ": ";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
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
       difference.empty() ? "which knows every key of this config" : "which does not take it: " + difference);
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

}  // namespace formwork
