#include "formwork/runtime/raw.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formwork/core/error.h"

namespace formwork::runtime {
namespace {

struct Known {
  const char* name;
  int64_t bytes;
};

const Known& known(Dtype dtype) {
  static constexpr Known table[] = {{"float64", 8}, {"float32", 4}, {"float16", 2}, {"bfloat16", 2},
                                    {"int64", 8},   {"int32", 4},   {"int16", 2},   {"int8", 1},
                                    {"uint8", 1},   {"bool", 1}};
  return table[static_cast<int>(dtype)];
}

float from_bfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Sign, 5 bits of exponent (bias 15), 10 of mantissa.
float from_float16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float value = std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31)
    value = mantissa ? std::nanf("") : HUGE_VALF;
  else if (exponent > 0)
    value = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return bits & 0x8000 ? -value : value;
}

template <class T, class Convert>
std::vector<float> converted(const Raw& raw, const Convert& convert) {
  const auto* from = static_cast<const T*>(raw.data);
  std::vector<float> values(static_cast<size_t>(raw.count()));
  std::transform(from, from + raw.count(), values.begin(), convert);
  return values;
}

}  // namespace

const char* dtype_name(Dtype dtype) { return known(dtype).name; }
int64_t dtype_bytes(Dtype dtype) { return known(dtype).bytes; }

std::vector<float> to_floats(const Raw& raw, const std::string& where) {
  switch (raw.dtype) {
    case Dtype::float64:
      return converted<double>(raw, [](double x) { return static_cast<float>(x); });
    case Dtype::float32:
      return converted<float>(raw, [](float x) { return x; });
    case Dtype::float16:
      return converted<uint16_t>(raw, from_float16);
    case Dtype::bfloat16:
      return converted<uint16_t>(raw, from_bfloat16);
    default:
      fail("{}: expected floating numbers, found {}", where, dtype_name(raw.dtype));
  }
}

}  // namespace formwork::runtime
