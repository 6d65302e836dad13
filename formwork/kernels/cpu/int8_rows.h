// What symmetric and zero-point quantization share.
#pragma once
#include "formwork/kernels/cpu/int8.h"

namespace formwork {

inline bool int8_some(const Int8Input& in) { return in.outliers && !in.outliers->columns.empty(); }

// Whether a value of an outlier column counts towards the scale of its row.
inline bool int8_counts(const Int8Outliers& outliers, float value) {
  return outliers.row_max == Int8RowMax::values && std::abs(value) < outliers.threshold;
}

// Rows that are worth a thread.
inline int64_t int8_rows_each(const Int8Input& in) {
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, in.width));
}

}  // namespace formwork
