// The tensor type, and the JSON type, under the names that all rooms use.
#pragma once
#include <ATen/core/Tensor.h>

#include "formwork/core/json.h"

namespace formwork {

using Tensor = at::Tensor;

}  // namespace formwork
