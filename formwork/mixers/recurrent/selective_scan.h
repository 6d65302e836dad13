// The selective scan as a differentiable operation, fused or in plain ATen operations.
//
//   h_t[e,n] = exp(delta_t[e] A[e,n]) h_{t-1}[e,n] + f_t[e,n] B_t[n] x_t[e]
//   y_t[e]   = (sum_n C_t[n] h_t[e,n] + D[e] x_t[e]) * SiLU(z_t[e])
//
// f = delta (Euler) or (exp(delta A) - 1) / A (`zoh`, the exact hold). A step with delta = 0 leaves h as it
// is. Source: Mamba: Linear-Time Sequence Modeling with Selective State Spaces (2023).
#pragma once
#include <utility>

#include "formwork/core/tensor.h"

namespace formwork {

// All of one floating dtype. Undefined: no skip (D), no gate (z), zeros (h0).
struct SelectiveScan {
  Tensor delta;  // [B, L, E], not negative
  Tensor A;      // [E, N], negative
  Tensor B, C;   // [B, L, N], shared by the channels
  Tensor x;      // [B, L, E]
  Tensor D;      // [E]
  Tensor z;      // [B, L, E]
  Tensor h0;     // [B, E, N]
  bool zoh = false;
};

// Whether the fused kernel takes these tensors: float or double on the CPU, at least one step.
bool selective_scan_is_fused(const SelectiveScan& scan);
// y [B, L, E] and the final state [B, E, N], in one fused pass with its own backward (differentiable once).
std::pair<Tensor, Tensor> selective_scan_fused(const SelectiveScan& scan);
// The same, step by step in ATen operations: any dtype and device, any order of derivative.
std::pair<Tensor, Tensor> selective_scan_plain(const SelectiveScan& scan);

// B and C may also be constants [E, N] for each channel (a time-invariant system). Then the states become
// channels of their own, kept for a chunk of tokens at a time (chunked_scan.h), with `plain` all of them.
std::pair<Tensor, Tensor> selective_scan(const SelectiveScan& scan, bool plain);

// The recurrence alone, of inputs u [B, L, E, N] that B has been applied to: every state h [B, L, E, N] and
// the last one [B, E, N]. Reads delta, A, zoh and h0 of `scan`.
std::pair<Tensor, Tensor> scan_states(const SelectiveScan& scan, const Tensor& u, bool plain);
// y [B, L, E] with the skip and the gate, from the contracted states.
Tensor skip_and_gate(const SelectiveScan& scan, Tensor y);

}  // namespace formwork
