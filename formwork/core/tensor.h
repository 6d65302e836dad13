// The tensor type, and the JSON type, under the names that all rooms use.
#pragma once
#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>

namespace formwork {

using Tensor = at::Tensor;
using Json = nlohmann::ordered_json;

}  // namespace formwork
