// RMSNorm on the CPU kernel, with first derivatives. (LayerNorm stays with ATen, which is as fast.)
#pragma once
#include "formwork/norms/norm.h"

namespace formwork {

// Whether the kernel takes these: float32 on the CPU, contiguous, and no gradient of a gradient is wanted.
bool fits_fused_norm(const Context& ctx, const Tensor& x, const Tensor& gain);

// y = x / sqrt(sum(x^2) / divisor + eps) * gain; x [..., D], gain [D] or undefined.
Tensor fused_rms_norm(const Tensor& x, const Tensor& gain, double divisor, double eps);

// The same beside x itself, whose gradient the norm's backward pass then adds to its own.
NormSplit fused_rms_norm_split(const Tensor& x, const Tensor& gain, double divisor, double eps);

}  // namespace formwork
