// Weights in 4-bit codes: W[o, i] = scale[o, g] (code[o, i] - zero[o, g]), g = i / group, code in [0, 15].
// The last group is short where the inputs are no multiple of it.
#pragma once
#include <map>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

struct Int4Grid {
  Tensor scale, zero;  // float [...]: zero is a whole number in [0, 15]
};

// The grid of each group, w [..., n]: asymmetric from min(0, min) to max(0, max), symmetric from -7 to 7.
Int4Grid int4_grid(const Tensor& w, bool symmetric);
// The nearest code of each entry, w [..., n] on grids [...]: uint8 [..., n].
Tensor int4_codes(const Tensor& w, const Int4Grid& grid);
Tensor int4_value(const Tensor& codes, const Int4Grid& grid);

// A whole matrix.
struct Int4Matrix {
  Tensor codes;   // [out, in] uint8
  Int4Grid grid;  // [out, groups]
  int64_t group = 0;

  Tensor value() const;  // [out, in] float
  // As a map stores it: "codes" two to a byte, the first in the low bits, [out, groups, group / 2], or
  // [out, (in + 1) / 2] where the last group is short; "scale" and "zero" [out, groups].
  std::map<std::string, Tensor> tensors() const;
};

// The nearest codes of W [out, in]. Throws Error when group is no multiple of 8.
Int4Matrix int4_round(const Tensor& weight, int64_t group, bool symmetric);

}  // namespace formwork
