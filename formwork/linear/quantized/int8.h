// Weights in 8-bit codes with one scale per output row: W[o, i] = codes[o, i] * scale[o] / 127.
#pragma once
#include <map>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

// W [out, in] -> "codes" [out, in] int8 in [-127, 127] and "scale" [out] = max |W[o]| (1 for a row of zeros).
std::map<std::string, Tensor> int8_tensors(const Tensor& weight);
// float [out, in].
Tensor int8_dequantize(const Tensor& codes, const Tensor& scale);

}  // namespace formwork
