// Gated activations on a fused projection x = [gate | up]: y = act(gate) * up.
// Source: "GLU Variants Improve Transformer" (Shazeer, 2020).
#pragma once
#include <cstdint>

#include "formwork/kernels/cpu/bfloat16.h"

namespace formwork {

// The act of the gate: sigmoid (GLU), silu (SwiGLU), gelu with the exact erf (GEGLU), relu (ReGLU).
enum class Gate { sigmoid, silu, gelu, relu };

// x [rows, 2 * width], gate half first -> y [rows, width]. T is float, double or bfloat16.
template <class T>
void gated_forward(Gate gate, std::int64_t rows, std::int64_t width, const T* x, T* y);

// dy [rows, width] -> dx [rows, 2 * width]; dx may be x itself.
template <class T>
void gated_backward(Gate gate, std::int64_t rows, std::int64_t width, const T* x, const T* dy, T* dx);

}  // namespace formwork
