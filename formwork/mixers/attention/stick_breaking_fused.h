// Stick-breaking attention as a differentiable operation on the fused kernel.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// Whether the kernel takes these: q [B, H, T, d], k and v [B, Hkv, Tk, d], one floating dtype, on the CPU.
bool stick_breaking_is_fused(const Tensor& q, const Tensor& k, const Tensor& v);

// o [B, H, T, d]: query i sees keys j <= i + offset, of row b only the first lengths[b] (undefined: all).
// Neighbouring query heads share a key head. Differentiable once.
Tensor stick_breaking_fused(const Tensor& q, const Tensor& k, const Tensor& v, double scale, int64_t offset,
                            const Tensor& lengths);

}  // namespace formwork
