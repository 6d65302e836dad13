// The upper half of a float32, as kernels read and write it; they compute in float32.
#pragma once
#include <cstdint>

namespace formwork {

struct bfloat16 {
  std::uint16_t bits;
};

// What a kernel computes in for a storage type.
template <class T>
struct ComputeType {
  using Type = T;
};
template <>
struct ComputeType<bfloat16> {
  using Type = float;
};

}  // namespace formwork
