// The JSON text of a safetensors header, read strictly and without a document tree: memory stays in
// proportion to the entries, and whatever the format does not allow stops at its first byte.
#pragma once
#include <string>
#include <string_view>

#include "formwork/interop/safetensors_header.h"

namespace formwork {

// Errors: bad JSON or UTF-8 with the byte where it is, duplicate names or fields, unknown or missing fields,
// wrong types, numbers that are no whole number >= 0. Ranges are not checked here, and data_start stays 0.
SafetensorsHeader read_safetensors_json(std::string_view text, const std::string& path);

}  // namespace formwork
