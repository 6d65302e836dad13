// The JSON type under the name that all rooms use. It keeps the order of keys.
#pragma once
#include <nlohmann/json.hpp>

namespace formwork {

using Json = nlohmann::ordered_json;

}  // namespace formwork

// Compiled once, in core/json.cpp.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
