// Reading the fields of a JSON object with one clear line for whatever is wrong. `where` starts every Error.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace formwork {

// A value in a few words, for messages.
std::string shown(const nlohmann::json& value);

// A required field. `object` itself may be anything.
const nlohmann::json& field(const nlohmann::json& object, const char* key, std::string_view where);
std::string text_field(const nlohmann::json& object, const char* key, std::string_view where);

// Optional fields: absent or null gives `otherwise`.
std::string text_field(const nlohmann::json& object, const char* key, std::string otherwise,
                       std::string_view where);
bool flag_field(const nlohmann::json& object, const char* key, bool otherwise, std::string_view where);
int64_t count_field(const nlohmann::json& object, const char* key, int64_t otherwise, std::string_view where);

// The list in a required field.
const nlohmann::json& list_field(const nlohmann::json& object, const char* key, std::string_view where);

// object["type"].
std::string type_of(const nlohmann::json& object, std::string_view where);

}  // namespace formwork
