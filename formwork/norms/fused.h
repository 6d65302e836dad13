// Row norms on the CPU kernels, with first derivatives.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

class Context;

// Whether the kernels take x: float32 on the CPU, contiguous, and no gradient of a gradient is wanted.
bool fits_fused_norm(const Context& ctx, const Tensor& x);

// y = x / sqrt(sum(x^2) / divisor + eps) * gain; x [..., D], gain [D] or undefined.
Tensor fused_rms_norm(const Tensor& x, const Tensor& gain, double divisor, double eps);

// y = (x - mean) / sqrt(var + eps) * gain + bias; x [..., D], gain and bias [D] or undefined.
Tensor fused_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps);

}  // namespace formwork
