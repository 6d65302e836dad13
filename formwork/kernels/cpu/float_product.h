// Products of float32 matrices on AMX, whose tiles multiply bfloat16: every value is cut, without a rest,
// into three bfloat16 parts x = h + m + l, and of the nine products of parts the six that float32 can hold
// are summed in float32:
//
//   a b = ah bh + ah bm + am bm + am bh + al bh + ah bl + O(2^-24 |a b|)
//
// That costs a sixth of the tiles' speed, which is still two to three times that of float32 vectors. A sum
// has one order, whatever the other rows and columns are. Infinite values give NaN. Source: Leveraging the
// bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations (Henry, Tang, Heinecke, 2019).
#pragma once
#include <cstdint>

namespace formwork {

// A matrix of rows of `inner` values: row r, value k at data[r * stride + k], or, turned, at data[k * stride
// + r].
struct FloatOperand {
  const float* data;
  std::int64_t rows, stride;
  bool turned = false;
};

// c[i * c_stride + j] (+)= sum_k a(i, k) b(j, k) + bias[j]; bias may be null.
struct FloatProduct {
  FloatOperand a, b;
  std::int64_t inner;
  float* c;
  std::int64_t c_stride;
  const float* bias = nullptr;
  bool add = false;
};

// Whether this processor has the tiles.
bool has_float_product();

// Throws Error where it has not. Rows of b are prepared first, unless there are fewer of a.
void float_product(const FloatProduct& product);

}  // namespace formwork
