#include "formwork/text/json_fields.h"

#include "formwork/core/error.h"

namespace formwork {
namespace {

using nlohmann::json;

const json* present(const json& object, const char* key, std::string_view where) {
  if (!object.is_object()) fail("{}: expected an object with '{}', found {}", where, key, shown(object));
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace

std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

const json& field(const json& object, const char* key, std::string_view where) {
  if (!object.is_object()) fail("{}: expected an object with '{}', found {}", where, key, shown(object));
  const auto found = object.find(key);
  if (found == object.end()) fail("{}: expected a field '{}', found none", where, key);
  return *found;
}

std::string text_field(const json& object, const char* key, std::string_view where) {
  const json& value = field(object, key, where);
  if (!value.is_string()) fail("{}: expected '{}' to be a text, found {}", where, key, shown(value));
  return value.get<std::string>();
}

std::string text_field(const json& object, const char* key, std::string otherwise, std::string_view where) {
  return present(object, key, where) ? text_field(object, key, where) : otherwise;
}

bool flag_field(const json& object, const char* key, bool otherwise, std::string_view where) {
  const json* value = present(object, key, where);
  if (!value) return otherwise;
  if (!value->is_boolean())
    fail("{}: expected '{}' to be true or false, found {}", where, key, shown(*value));
  return value->get<bool>();
}

int64_t count_field(const json& object, const char* key, int64_t otherwise, std::string_view where) {
  const json* value = present(object, key, where);
  if (!value) return otherwise;
  if (!value->is_number_integer() || *value < 0 || *value > (int64_t{1} << 40))
    fail("{}: expected '{}' to be a count, found {}", where, key, shown(*value));
  return value->get<int64_t>();
}

const json& list_field(const json& object, const char* key, std::string_view where) {
  const json& value = field(object, key, where);
  if (!value.is_array()) fail("{}: expected '{}' to be a list, found {}", where, key, shown(value));
  return value;
}

std::string type_of(const json& object, std::string_view where) { return text_field(object, "type", where); }

}  // namespace formwork
