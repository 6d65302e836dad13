// Tensors as the runtime sees them: named memory that somebody else holds.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace formwork::runtime {

enum class Dtype { float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8, boolean };

struct Raw {
  Dtype dtype = Dtype::float32;
  std::vector<int64_t> shape;
  const void* data = nullptr;

  int64_t count() const {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    return n;
  }
};

using Tensors = std::map<std::string, Raw>;

const char* dtype_name(Dtype dtype);
int64_t dtype_bytes(Dtype dtype);

// Values in float32, whatever floating type they are stored in. Throws Error, beginning with `where`, for the
// others.
std::vector<float> to_floats(const Raw& raw, const std::string& where);

}  // namespace formwork::runtime
