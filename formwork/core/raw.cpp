#include "formwork/core/raw.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "formwork/core/error.h"

namespace formwork {
namespace {

struct Known {
  const char* name;
  int64_t bytes;
};

const Known& known(Dtype dtype) {
  static constexpr Known table[] = {{"bool", 1},
                                    {"uint8", 1},
                                    {"int8", 1},
                                    {"float8_e5m2", 1},
                                    {"float8_e4m3fn", 1},
                                    {"float8_e8m0fnu", 1},
                                    {"float8_e4m3fnuz", 1},
                                    {"float8_e5m2fnuz", 1},
                                    {"int16", 2},
                                    {"uint16", 2},
                                    {"float16", 2},
                                    {"bfloat16", 2},
                                    {"int32", 4},
                                    {"uint32", 4},
                                    {"float32", 4},
                                    {"complex64", 8},
                                    {"float64", 8},
                                    {"int64", 8},
                                    {"uint64", 8}};
  return table[static_cast<size_t>(dtype)];
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

NewRaw new_raw(Dtype dtype, std::vector<int64_t> shape) {
  NewRaw made{{dtype, std::move(shape)}};
  const std::shared_ptr<std::byte[]> memory(new std::byte[static_cast<size_t>(made.raw.bytes())]);
  made.data = memory.get();
  made.raw.data = made.data;
  made.raw.owner = memory;
  return made;
}

Raw raw_of(const std::vector<float>& values, std::vector<int64_t> shape) {
  auto made = new_raw(Dtype::float32, std::move(shape));
  std::memcpy(made.data, values.data(), values.size() * sizeof(float));
  return made.raw;
}

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

}  // namespace formwork
