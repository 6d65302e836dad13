// Rows in parallel with one private sum of column gradients for each chunk of rows, added up at the end.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "formwork/kernels/cpu/parallel.h"

namespace formwork {

inline std::int64_t row_grain(std::int64_t width) { return 1 + 16384 / (width + 1); }

// Calls fn(first, last, partial) with partial [columns], zeroed, and sets total [columns] to the partials'
// sum. The cut depends on the number of threads alone, so a result repeats exactly.
template <class T, class F>
void reduce_rows(std::int64_t rows, std::int64_t width, std::int64_t columns, T* total, const F& fn) {
  const std::int64_t grain = row_grain(width);
  const std::int64_t chunks = std::clamp<std::int64_t>(rows / grain, 1, parallel_threads());
  const std::int64_t size = (rows + chunks - 1) / chunks, stride = columns + 64;
  std::vector<T> partials(static_cast<std::size_t>(chunks * stride), T(0));
  parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk)
      fn(chunk * size, std::min(rows, (chunk + 1) * size), partials.data() + chunk * stride);
  });
  for (std::int64_t i = 0; i < columns; ++i) {
    T sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partials[chunk * stride + i];
    total[i] = sum;
  }
}

}  // namespace formwork
