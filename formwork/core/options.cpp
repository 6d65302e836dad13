#include "formwork/core/options.h"

#include <algorithm>

namespace formwork {

PartSpec PartSpec::from_json(const Json& json, std::string_view where) {
  PartSpec spec;
  if (json.is_null()) return spec;
  if (json.is_string()) {
    spec.type = json.get<std::string>();
    return spec;
  }
  if (!json.is_object() || !json.contains("type") || !json["type"].is_string())
    fail("{}: expected a part, a name or {{\"type\": name, ...}}, found {}", where, json.dump());
  spec.type = json["type"].get<std::string>();
  spec.options = json;
  spec.options.erase("type");
  return spec;
}

Json PartSpec::to_json() const {
  if (type.empty()) return nullptr;
  if (options.empty()) return type;
  Json json = {{"type", type}};
  json.update(options);
  return json;
}

// The part at a Spec's root has no path: it is the model.
FieldReader::FieldReader(const Json& object, std::string where)
    : object_(object), where_(where.empty() ? "model" : std::move(where)) {
  if (!object.is_object()) fail("{}: expected an object of options, found {}", where_, object.dump());
}

const Json* FieldReader::find(const char* name) {
  known_.emplace_back(name);
  const auto it = object_.find(name);
  return it == object_.end() ? nullptr : &*it;
}

void FieldReader::wrong(const char* name, std::string_view expected, const Json& found) const {
  fail("{}: option '{}' must be {}, found {}", where_, name, expected, found.dump());
}

void FieldReader::integer(const char* name, int64_t& value, const char*, int64_t low, int64_t high) {
  const Json* json = find(name);
  if (!json) return;
  const std::string expected = fmt::format("an integer in [{}, {}]", low, high);
  if (!json->is_number_integer()) wrong(name, expected, *json);
  if (json->is_number_unsigned() && json->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    wrong(name, expected, *json);
  const auto found = json->get<int64_t>();
  if (found < low || found > high) wrong(name, expected, *json);
  value = found;
}

void FieldReader::number(const char* name, double& value, const char*, double low, double high) {
  const Json* json = find(name);
  if (!json) return;
  const std::string expected = fmt::format("a number in [{:g}, {:g}]", low, high);
  if (!json->is_number()) wrong(name, expected, *json);
  const auto found = json->get<double>();
  if (!(found >= low && found <= high)) wrong(name, expected, *json);
  value = found;
}

void FieldReader::flag(const char* name, bool& value, const char*) {
  const Json* json = find(name);
  if (!json) return;
  if (!json->is_boolean()) wrong(name, "true or false", *json);
  value = json->get<bool>();
}

void FieldReader::text(const char* name, std::string& value, const char*) {
  const Json* json = find(name);
  if (!json) return;
  if (!json->is_string()) wrong(name, "a string", *json);
  value = json->get<std::string>();
}

void FieldReader::choice(const char* name, std::string& value, const std::vector<std::string>& choices,
                         const char*) {
  const Json* json = find(name);
  if (!json) return;
  if (!json->is_string() || std::find(choices.begin(), choices.end(), *json) == choices.end()) {
    const std::string near = json->is_string() ? nearest(json->get<std::string>(), choices) : "";
    fail("{}: option '{}' must be one of {}, found {}{}", where_, name, fmt::join(choices, ", "),
         json->dump(), near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
  }
  value = json->get<std::string>();
}

void FieldReader::part(const char* name, PartSpec& value, const char*, const char*, bool optional) {
  const Json* json = find(name);
  if (!json) return;
  value = PartSpec::from_json(*json, where_ + "." + name);
  if (!value && !optional) wrong(name, "a part", *json);
}

void FieldReader::parts(const char* name, std::vector<PartSpec>& value, const char*, const char*) {
  const Json* json = find(name);
  if (!json) return;
  if (!json->is_array()) wrong(name, "an array of parts", *json);
  value.clear();
  for (size_t i = 0; i < json->size(); ++i)
    value.push_back(PartSpec::from_json((*json)[i], fmt::format("{}.{}[{}]", where_, name, i)));
}

void FieldReader::numbers(const char* name, std::vector<double>& value, const char*) {
  const Json* json = find(name);
  if (!json) return;
  const auto all_numbers = [](const Json& list) {
    return std::all_of(list.begin(), list.end(), [](const Json& item) { return item.is_number(); });
  };
  if (!json->is_array() || !all_numbers(*json)) wrong(name, "an array of numbers", *json);
  value = json->get<std::vector<double>>();
}

void FieldReader::json(const char* name, Json& value, const char*) {
  if (const Json* found = find(name)) value = *found;
}

void FieldReader::finish() const {
  for (const auto& [key, value] : object_.items())
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      fail_unknown(where_ + ": option", key, known_);
}

void FieldWriter::put(const char* name, const char* type, Json value, const char* doc, Json extra) {
  if (!schema_) {
    result[name] = std::move(value);
    return;
  }
  Json field = {{"type", type}, {"default", std::move(value)}, {"description", doc}};
  field.update(extra);
  result[name] = std::move(field);
}

void FieldWriter::integer(const char* name, int64_t& value, const char* doc, int64_t low, int64_t high) {
  put(name, "integer", value, doc, {{"minimum", low}, {"maximum", high}});
}
void FieldWriter::number(const char* name, double& value, const char* doc, double low, double high) {
  put(name, "number", value, doc, {{"minimum", low}, {"maximum", high}});
}
void FieldWriter::flag(const char* name, bool& value, const char* doc) { put(name, "boolean", value, doc); }
void FieldWriter::text(const char* name, std::string& value, const char* doc) {
  put(name, "string", value, doc);
}
void FieldWriter::choice(const char* name, std::string& value, const std::vector<std::string>& choices,
                         const char* doc) {
  put(name, "string", value, doc, {{"enum", choices}});
}
void FieldWriter::part(const char* name, PartSpec& value, const char* kind, const char* doc, bool) {
  put(name, "part", value.to_json(), doc, {{"kind", kind}});
}
void FieldWriter::parts(const char* name, std::vector<PartSpec>& value, const char* kind, const char* doc) {
  Json list = Json::array();
  for (const auto& part : value) list.push_back(part.to_json());
  put(name, "array", std::move(list), doc, {{"kind", kind}});
}
void FieldWriter::numbers(const char* name, std::vector<double>& value, const char* doc) {
  put(name, "array", value, doc);
}
void FieldWriter::json(const char* name, Json& value, const char* doc) { put(name, "object", value, doc); }

}  // namespace formwork
