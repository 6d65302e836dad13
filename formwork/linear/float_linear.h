// y = x W^T + b in float32 by AMX tiles (kernels/cpu/float_product.h), and its gradients.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// Whether the processor has the tiles and these operands are dense, plain float32 and large enough to gain.
bool fits_float_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

// x [..., in], weight [out, in], bias [out] or undefined -> [..., out]; differentiable, also twice.
Tensor float_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace formwork
