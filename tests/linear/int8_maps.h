// What tests of 8-bit maps share.
#pragma once
#include "error_of.h"
#include "formwork/linear/quantized/int8_product.h"
#include "one_map.h"

namespace formwork {

inline Json int8(double threshold, const std::string& row_max = "columns") {
  return {{"type", "int8"}, {"threshold", threshold}, {"row_max", row_max}};
}

inline Json int8(const std::string& scheme, double threshold) {
  return {{"type", "int8"}, {"threshold", threshold}, {"scheme", scheme}};
}

inline const std::vector<std::string> kSchemes = {"absmax-tensor", "absmax-row", "vector", "zeropoint-tensor",
                                                  "zeropoint-vector"};

}  // namespace formwork
