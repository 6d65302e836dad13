// Rotary positions: pairs of channels turn by an angle that grows with the position.
// Source: "RoFormer: Enhanced Transformer with Rotary Position Embedding" (Su et al., 2021).
#pragma once
#include <cstdint>

namespace formwork {

// Which channels make a pair: (2i, 2i + 1), or (i, i + width / 2).
enum class RotaryLayout { interleaved, halves };

// x [batch, tokens, heads, width], the width dense, the rest with strides in elements; of each head the first
// `width` channels turn (so a partly rotated head passes the rotated width). Tables [tokens, width / 2], or
// [batch, tokens, width / 2] with table_batch = tokens * width / 2.
struct Rotary {
  std::int64_t batch, tokens, heads, width;
  std::int64_t batch_stride, token_stride, head_stride;
  std::int64_t table_batch = 0;
  RotaryLayout layout = RotaryLayout::halves;
};

// In place: (a, b) -> (a cos - b sin, a sin + b cos). T is float or double.
template <class T>
void rotary_forward(const Rotary& shape, const T* cosines, const T* sines, T* x);

// In place, the opposite turn: the inverse, and also the gradient.
template <class T>
void rotary_inverse(const Rotary& shape, const T* cosines, const T* sines, T* x);

}  // namespace formwork
