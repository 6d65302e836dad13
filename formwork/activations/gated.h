// A gated activation as one operation: neither f(gate) nor the halves become tensors, and the backward pass
// keeps x alone.
#pragma once
#include "formwork/core/context.h"
#include "formwork/kernels/cpu/activation.h"

namespace formwork {

// Whether the kernel takes x: float32, float64 or bfloat16 on the CPU, dense, and gradients asked for once.
bool fits_fused_gate(const Context& ctx, const Tensor& x);

// x = [gate | up] [..., 2F] -> f(gate) * up [..., F].
Tensor fused_gate(Gate gate, const Tensor& x);

}  // namespace formwork
