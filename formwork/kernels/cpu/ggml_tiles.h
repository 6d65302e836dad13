// The loop of the x86 kernels over tiles of 4 rows of W by 4 rows, or 1, of x. Included by those kernels
// alone.
#pragma once
#include <algorithm>

#include "formwork/kernels/cpu/ggml_rows.h"
#include "formwork/kernels/cpu/ggml_scales.h"

namespace formwork {
namespace {

using RowsOfW = const std::uint8_t* const[kOutputs];

// What lies ahead of a row by so many bytes is fetched: rows are too short for the processor to see the
// stream that they are.
constexpr std::int64_t kAhead = 2048;

inline void fetch(const std::uint8_t* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i);
}

// Rows of x from n on, kRows at a time, with outputs o .. o + count - 1; the first row that is left.
template <class Kernel, int kRows>
std::int64_t multiply_rows(const GgmlProduct& p, RowsOfW rows, std::int64_t o, std::int64_t count,
                           std::int64_t n) {
  for (; n + kRows <= p.rows; n += kRows) {
    float y[kRows][kOutputs];
    Kernel::template tile<kRows>(p.x + n * p.groups, p, rows, y);
    for (int r = 0; r < kRows; ++r)
      for (std::int64_t v = 0; v < count; ++v)
        p.y[(n + r) * p.w.outputs + o + v] = y[r][v] + (p.bias ? p.bias[o + v] : 0.0f);
  }
  return n;
}

// Kernel::tile<kRows>(x, p, rows, y) makes y [kRows][4] of kRows rows of x and 4 of W.
template <class Kernel>
void multiply_by_tiles(const GgmlProduct& p, std::int64_t first, std::int64_t last) {
  const std::int64_t bytes = p.w.row_bytes();
  for (std::int64_t o = first; o < last; o += kOutputs) {
    const std::int64_t count = std::min<std::int64_t>(kOutputs, last - o);
    const std::uint8_t* rows[kOutputs];
    // A row beyond the last is a repetition whose sums nobody reads.
    for (std::int64_t v = 0; v < kOutputs; ++v) rows[v] = p.w.blocks + std::min(o + v, last - 1) * bytes;
    fetch(rows[0] + kAhead, kOutputs * bytes);
    multiply_rows<Kernel, 1>(p, rows, o, count, multiply_rows<Kernel, 4>(p, rows, o, count, 0));
  }
}

// The loop with a kernel's form of each format; null for the others.
template <template <class> class Kernel, class Q80, class Q40, class Q41, class Q4K, class Q5K, class Q6K>
GgmlKernel kernel_of(GgmlType type) {
  switch (type) {
    case GgmlType::q8_0:
      return multiply_by_tiles<Kernel<Q80>>;
    case GgmlType::q4_0:
      return multiply_by_tiles<Kernel<Q40>>;
    case GgmlType::q4_1:
      return multiply_by_tiles<Kernel<Q41>>;
    case GgmlType::q4_k:
      return multiply_by_tiles<Kernel<Q4K>>;
    case GgmlType::q5_k:
      return multiply_by_tiles<Kernel<Q5K>>;
    case GgmlType::q6_k:
      return multiply_by_tiles<Kernel<Q6K>>;
    default:
      return nullptr;
  }
}

}  // namespace
}  // namespace formwork
