#include "formwork/core/spec.h"

#include <algorithm>

#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/core/wildcard.h"

namespace formwork {

Spec Spec::from_json(const Json& json, const std::string& where) {
  static const std::vector<std::string> keys = {"formwork", "model",  "linear",  "parts", "axes",
                                                "sources",  "attach", "history", "meta"};
  if (!json.is_object()) fail("{}: expected a Spec (a JSON object), found {}", where, json.type_name());
  for (const auto& [key, value] : json.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) fail_unknown(where + ": Spec key", key, keys);
  if (!json.contains("formwork") || !json["formwork"].is_number_integer())
    fail("{}: expected a Spec with \"formwork\": {}, its version", where, kVersion);
  const auto version = json["formwork"].get<int64_t>();
  if (version < 1 || version > kVersion)
    fail("{}: Spec version {} is not known; this program reads versions 1 to {}", where, version, kVersion);
  Spec spec;
  if (!json.contains("model")) fail("{}: the Spec has no \"model\"", where);
  spec.model = PartSpec::from_json(json["model"], where + ": model");
  const auto take = [&](const char* key, Json& into, bool array) {
    if (!json.contains(key)) return;
    if (array ? !json[key].is_array() : !json[key].is_object())
      fail("{}: \"{}\" must be {}", where, key, array ? "an array" : "an object");
    into = json[key];
  };
  take("linear", spec.linear, false);
  take("parts", spec.parts, false);
  take("axes", spec.axes, false);
  take("sources", spec.sources, false);
  take("attach", spec.attach, false);
  take("history", spec.history, true);
  take("meta", spec.meta, false);
  for (const auto& [axis, size] : spec.axes.items())
    if (!size.is_number_integer() || size.get<int64_t>() < 0 || size.get<int64_t>() > (int64_t{1} << 40))
      fail("{}: axis '{}': expected a size, found {}", where, axis, size.dump());
  return spec;
}

Spec Spec::from_file(const std::string& path) { return from_json(read_json<Json>(path), path); }

Json Spec::to_json() const {
  Json json = {{"formwork", kVersion}, {"model", model.to_json()}};
  const auto put = [&](const char* key, const Json& value) {
    if (!value.empty()) json[key] = value;
  };
  put("linear", linear);
  put("parts", parts);
  put("axes", axes);
  put("sources", sources);
  put("attach", attach);
  put("history", history);
  put("meta", meta);
  return json;
}

const Json* lookup(const Json& table, const std::string& name) {
  if (const auto it = table.find(name); it != table.end()) return &*it;
  const Json* best = nullptr;
  size_t best_length = 0;
  for (const auto& [key, value] : table.items()) {
    if (key.find('*') == std::string::npos || !matches(key, name)) continue;
    if (!best || key.size() > best_length) {
      best = &value;
      best_length = key.size();
    }
  }
  return best;
}

}  // namespace formwork
