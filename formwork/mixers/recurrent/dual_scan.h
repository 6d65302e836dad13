// The scan of state space duality: a selective scan whose decay is one number a head, so that a block of
// tokens is a masked matrix product, and blocks meet through their states alone.
//
//   h_t[p,n] = exp(delta_t A) h_{t-1}[p,n] + g_t x_t[p] B_t[n],   y_t[p] = sum_n C_t[n] h_t[p,n] + D x_t[p]
//
// for each head, with delta_t, g_t, A and D numbers (g = delta in Mamba-2, 1 in its discrete form); B_t and
// C_t [N] are shared by the heads of a group. Written as a matrix over tokens, y = M x with M[t,s] = C_t .
// B_s exp(A sum_{s<r<=t} delta_r) g_s for s <= t, and D on the diagonal. A step with delta = g = 0 leaves h
// as it is. Plain ATen operations: any dtype and device, any order of derivative. Source: Transformers are
// SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality (2024).
#pragma once
#include <utility>

#include "formwork/core/tensor.h"

namespace formwork {

// All of one floating dtype. Head h reads group h / (H / G). Undefined: ones (gain), no skip (D), zeros (h0).
struct DualScan {
  Tensor delta;  // [B, L, H], not negative
  Tensor gain;   // g, [B, L, H]
  Tensor A;      // [H], negative
  Tensor B, C;   // [B, L, G, N]
  Tensor x;      // [B, L, H, P]
  Tensor D;      // [H]
  Tensor h0;     // [B, H, P, N]
};

// y [B, L, H, P] and the final state [B, H, P, N]. In blocks of `chunk` tokens, with work
// O(L (chunk (N + P) + N P)) a head in matrix products and L / chunk steps from block to block; a single
// token takes one step of the recurrence.
std::pair<Tensor, Tensor> dual_scan(const DualScan& scan, int64_t chunk);
// The same step by step.
std::pair<Tensor, Tensor> dual_scan_steps(const DualScan& scan);
// M, [B, H, L, L]; reads no h0.
Tensor dual_scan_matrix(const DualScan& scan);

}  // namespace formwork
