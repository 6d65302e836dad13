// y = x W^T + b with a dense matrix, as the maps that hold one multiply.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. Where no gradient is wanted, up to
// kFewRows rows of float32 on the CPU take the kernel that reads the matrix once; otherwise at::linear.
Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace formwork
