// What tests of 8-bit maps share.
#pragma once
#include "formwork/linear/quantized/int8_product.h"
#include "one_map.h"

namespace formwork {

inline Json int8(double threshold, const std::string& row_max = "columns") {
  return {{"type", "int8"}, {"threshold", threshold}, {"row_max", row_max}};
}

inline Json int8(const std::string& scheme, double threshold) {
  return {{"type", "int8"}, {"threshold", threshold}, {"scheme", scheme}};
}

inline std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline const std::vector<std::string> kSchemes = {"absmax-tensor", "absmax-row", "vector", "zeropoint-tensor",
                                                  "zeropoint-vector"};

}  // namespace formwork
