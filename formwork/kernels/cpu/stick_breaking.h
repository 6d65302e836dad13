// Stick-breaking attention: each query breaks a stick from its nearest key backwards.
//
//   l_ij = scale q_i . k_j for visible keys j <= i + offset, the own key included; beta = sigmoid(l)
//   a_ij = beta_ij prod_{j < m <= i} (1 - beta_im);   o_i = sum_j a_ij v_j
//
// in log space: log a_ij = logsigmoid(l_ij) + sum_{m = j+1..i} logsigmoid(-l_im). O(T Tk) time; weights exist
// only as tiles of a few rows. The backward needs the inputs and the output alone.
// Source: ModuleFormer: Modularity Emerges from Mixture-of-Experts (2023).
#pragma once
#include <cstdint>

#include "formwork/kernels/cpu/head_view.h"

namespace formwork {

// T is float or double. Query heads share key heads in groups of H / Hkv neighbours.
template <class T>
struct StickBreakingInput {
  int64_t batch = 0;      // B
  int64_t heads = 0;      // H, a multiple of key_heads
  int64_t key_heads = 0;  // Hkv
  int64_t queries = 0;    // T
  int64_t keys = 0;       // Tk
  int64_t width = 0;      // d of q, k and v
  T scale = 1;
  int64_t offset = 0;                    // position of the first query among the keys
  const int64_t* key_lengths = nullptr;  // [B], or null for Tk: later keys have beta 0
  HeadView<const T> q, k, v;
};

// Writes o [B, H, T, d]. Throws Error for sizes below 1, heads that do not divide, or lengths outside [0,
// Tk].
template <class T>
void stick_breaking_forward(const StickBreakingInput<T>& input, HeadView<T> output);

// Writes dq, dk and dv in full from the output and its gradient.
template <class T>
void stick_breaking_backward(const StickBreakingInput<T>& input, HeadView<const T> output,
                             HeadView<const T> d_output, HeadView<T> dq, HeadView<T> dk, HeadView<T> dv);

}  // namespace formwork
