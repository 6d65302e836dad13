// The product of a few rows with a matrix, as decoding needs it: reading the matrix once is all the time it
// takes.
#pragma once
#include <cstdint>

namespace formwork {

// Up to how many rows this beats a general matrix product.
inline constexpr std::int64_t kFewRows = 16;

// y [rows, out] = x [rows, in] W^T + bias; W [out, in], all dense; bias [out] or null. Every y[r, o] is
// summed in the same order whatever the number of rows, so a row does not depend on its neighbours.
void few_rows_linear(std::int64_t rows, std::int64_t in, std::int64_t out, const float* x, const float* w,
                     const float* bias, float* y);

}  // namespace formwork
