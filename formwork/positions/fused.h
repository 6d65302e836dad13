// Rotary positions on the CPU kernel, with first derivatives.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// x [B, T, H, d] float32 on the CPU; cosines and sines [B|1, T, r/2]: the first r channels of each head turn,
// in pairs (i, i + r/2), or (2i, 2i + 1) where not `halves` -> the same shape.
Tensor fused_rotary(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves);

// Turns x itself, which may have strides in all but its channels; `back`: the opposite way, which is also the
// gradient. Autograd does not see it.
void turn_in_place(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves, bool back);

}  // namespace formwork
