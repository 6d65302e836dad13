// Tensors without LibTorch: a type, a shape and memory, which an owner keeps or somebody else holds. Dense
// and in row order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace formwork {

enum class Dtype {
  boolean,
  uint8,
  int8,
  float8_e5m2,
  float8_e4m3fn,
  float8_e8m0fnu,
  float8_e4m3fnuz,
  float8_e5m2fnuz,
  int16,
  uint16,
  float16,
  bfloat16,
  int32,
  uint32,
  float32,
  complex64,
  float64,
  int64,
  uint64
};

const char* dtype_name(Dtype dtype);  // "bfloat16", "bool"
int64_t dtype_bytes(Dtype dtype);     // of one element

struct Raw {
  Dtype dtype = Dtype::float32;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // null: a shape without values (or values in pieces)
  std::shared_ptr<const void> owner = {};
  // Where not empty: the values, one piece after the other in row order, each somewhere else.
  std::vector<Raw> pieces = {};

  int64_t count() const {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    return n;
  }
  int64_t bytes() const { return count() * dtype_bytes(dtype); }
  bool has_values() const { return data || !pieces.empty() || count() == 0; }
};

using RawMap = std::map<std::string, Raw>;

// New memory for a tensor, not yet written.
struct NewRaw {
  Raw raw;
  std::byte* data = nullptr;
};
NewRaw new_raw(Dtype dtype, std::vector<int64_t> shape);

// float32 values of this shape.
Raw raw_of(const std::vector<float>& values, std::vector<int64_t> shape);

// Values in float32, whatever floating type they are stored in. Throws Error, beginning with `where`, for the
// others. Not for tensors in pieces.
std::vector<float> to_floats(const Raw& raw, const std::string& where);

}  // namespace formwork
