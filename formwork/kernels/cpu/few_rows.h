// The product of a few rows with a matrix, as decoding needs it: reading the matrix once is all the time it
// takes.
#pragma once
#include <cstdint>

namespace formwork {

// Up to how many rows this beats a general matrix product.
inline constexpr std::int64_t kFewRows = 16;

// How the matrix is stored; sums are float32.
enum class WeightType { float32, bfloat16, float16 };

// y [count] = stored values in float32.
void widen(WeightType type, std::int64_t count, const void* stored, float* y);

// y[r, o] (+)= sum_i x[r, i] W[o, i] + bias[o]. W [out, in] dense; rows of x and y are `x_stride` and
// `y_stride` apart; bias [out] or null. With `add`, y is added to.
struct RowsProduct {
  std::int64_t rows, in, out;
  const float* x;
  std::int64_t x_stride;
  const void* w;
  WeightType type;
  const float* bias;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  bool add = false;
};

// Every y[r, o] is summed in the same order whatever the number of rows, so a row does not depend on its
// neighbours.
void rows_product(const RowsProduct& product);

// The same for dense float32 x [rows, in] and y [rows, out].
void few_rows_linear(std::int64_t rows, std::int64_t in, std::int64_t out, const float* x, const float* w,
                     const float* bias, float* y);

}  // namespace formwork
