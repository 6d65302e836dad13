// Weights of int4 as the loops read them: in runs of two vectors of inputs, to the end of the last run.
#pragma once
#include <algorithm>
#include <vector>

#include "formwork/kernels/cpu/int4.h"

namespace formwork {

// Behind a row's inputs a run reads codes of the next row; they meet zeros of x. Behind the last row lies
// nothing, so that one is read from a copy where its last run is not whole.
struct Int4Rows : Int4Weight {
  int64_t groups, row_bytes;
  int64_t padded;  // I, up to the end of the last run
  std::vector<uint8_t> last;

  // `run`: inputs of a run, which divides the group.
  Int4Rows(const Int4Weight& weight, int64_t run)
      : Int4Weight(weight),
        groups((inputs + group - 1) / group),
        row_bytes((inputs + 1) / 2),
        padded((inputs + run - 1) / run * run) {
    if (padded == inputs) return;
    const uint8_t* from = codes + (outputs - 1) * row_bytes;
    last.assign(from, from + row_bytes);
    last.resize(padded / 2);
  }
  const uint8_t* row(int64_t o) const {
    return o == outputs - 1 && !last.empty() ? last.data() : codes + o * row_bytes;
  }
  int64_t end_of(int64_t g) const { return std::min((g + 1) * group, padded); }
};

}  // namespace formwork
