// Weights in 4-bit codes: W[o, i] = scale[o, g] (code[o, i] - zero[o, g]), g = i / group, code in [0, 15].
#pragma once
#include <map>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

struct Int4Grid {
  Tensor scale, zero;  // float [...]: zero is a whole number in [0, 15]
};

// The grid of each group, w [..., group]: asymmetric from min(0, min) to max(0, max), symmetric from -7 to 7.
Int4Grid int4_grid(const Tensor& w, bool symmetric);
// The nearest code of each entry, w [..., n] on grids [...]: uint8 [..., n].
Tensor int4_codes(const Tensor& w, const Int4Grid& grid);
Tensor int4_value(const Tensor& codes, const Int4Grid& grid);
// Codes [out, groups, group] uint8 and grids [out, groups] as a map stores them: "codes" [out, groups, group
// / 2] with the first of two in the low bits, "scale", "zero".
std::map<std::string, Tensor> int4_tensors(const Tensor& codes, const Int4Grid& grid);
// Rounds W [out, in] to the nearest codes. Throws Error when group is no multiple of 8 or does not divide in.
std::map<std::string, Tensor> int4_round(const Tensor& weight, int64_t group, bool symmetric);

}  // namespace formwork
