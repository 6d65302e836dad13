// Weights in 8-bit codes: W[o, i] = (codes[o, i] + zero[o]) * scale[o] / 127, without zero in symmetric
// schemes, with one scale and zero for all rows in tensor-wise ones.
#pragma once
#include <map>
#include <string>

#include "formwork/core/tensor.h"
#include "formwork/linear/quantized/int8_options.h"

namespace formwork {

struct Int8Codes {
  Tensor codes;  // [out, in] int8 in [-127, 127]
  Tensor scale;  // float [out] or [1]: max |W[o]| or half the range; 1 for a row of zeros
  Tensor zero;   // as scale, whole numbers; undefined in symmetric schemes
};

// Codes of W [out, in]. Throws Error, beginning with `where`, that names the row of an entry that is not
// finite.
Int8Codes int8_codes(const Tensor& weight, const Int8Scheme& scheme, const std::string& where);
// float [out, in].
Tensor int8_dequantize(const Int8Codes& weight);
// W rounded to float16, in float: what has_fp16_weights makes its codes from.
Tensor int8_rounded_to_half(const Tensor& weight);

// W as a map with these options stores it: "codes", "scale", "zero" and "weight" (float16), or with
// has_fp16_weights "weight" alone, as it is.
std::map<std::string, Tensor> int8_tensors(const Tensor& weight, const Int8Options& options = {},
                                           const std::string& where = "int8");

}  // namespace formwork
