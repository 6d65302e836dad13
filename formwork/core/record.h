// A record: named tensors. A model maps a record to a record; stems read fields, heads write them.
#pragma once
#include <map>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

using Record = std::map<std::string, Tensor>;

}  // namespace formwork
