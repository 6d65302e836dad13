// RMSNorm on the CPU kernel, with first derivatives. (LayerNorm stays with ATen, which is as fast.)
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

class Context;

// Whether the kernel takes these: float32 on the CPU, contiguous, and no gradient of a gradient is wanted.
bool fits_fused_norm(const Context& ctx, const Tensor& x, const Tensor& gain);

// y = x / sqrt(sum(x^2) / divisor + eps) * gain; x [..., D], gain [D] or undefined.
Tensor fused_rms_norm(const Tensor& x, const Tensor& gain, double divisor, double eps);

}  // namespace formwork
