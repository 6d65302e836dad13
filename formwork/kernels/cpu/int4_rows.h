// Weights of int4 as the loops read them: in runs of two vectors of inputs, to the end of the last run.
#pragma once
#include <algorithm>
#include <vector>

#include "formwork/kernels/cpu/int4.h"

namespace formwork {

// Behind a row's inputs a run reads codes of the rows that follow; they meet zeros of x. Behind the last row
// lies nothing, so the rows whose last run would reach there are read from a copy that is long enough.
struct Int4Rows : Int4Weight {
  int64_t groups, row_bytes;
  int64_t padded;  // I, up to the end of the last run
  int64_t copied;  // the first row of the copy
  std::vector<uint8_t> tail;

  // `run`: inputs of a run, which divides the group.
  Int4Rows(const Int4Weight& weight, int64_t run)
      : Int4Weight(weight),
        groups((inputs + group - 1) / group),
        row_bytes((inputs + 1) / 2),
        padded((inputs + run - 1) / run * run),
        copied(outputs) {
    const int64_t beyond = padded / 2 - row_bytes;
    if (beyond == 0) return;
    copied = std::max<int64_t>(0, outputs - (beyond + row_bytes - 1) / row_bytes);
    tail.assign(codes + copied * row_bytes, codes + outputs * row_bytes);
    tail.resize(tail.size() + static_cast<size_t>(beyond));
  }
  const uint8_t* row(int64_t o) const {
    return o < copied ? codes + o * row_bytes : tail.data() + (o - copied) * row_bytes;
  }
  int64_t end_of(int64_t g) const { return std::min((g + 1) * group, padded); }
};

}  // namespace formwork
