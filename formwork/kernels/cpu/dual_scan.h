// The scan of state space duality, token by token, with the state in the caller's hands.
//
//   h[n,p] = exp(delta_t A) h[n,p] + B_t[n] g_t x_t[p];   y_t[p] = sum_n C_t[n] h[n,p] + D x_t[p]
//
// for each head; g = delta in Mamba-2, 1 in its discrete form; B and C are shared by the heads of a group.
// Sums run over n in ascending order, so a sequence gives the same bits however it is cut. Source:
// Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality
// (2024).
#pragma once
#include <cstdint>

namespace formwork {

// Rows of tokens lie `stride` apart; head r of group g is head g R + r.
struct DualScanInput {
  std::int64_t length = 0;       // L
  std::int64_t groups = 0;       // G
  std::int64_t heads = 0;        // R, of a group
  std::int64_t width = 0;        // P
  std::int64_t states = 0;       // N
  std::int64_t stride = 0;       // of x, B and C
  const float* x = nullptr;      // [L, G R P]
  const float* B = nullptr;      // [L, G N]
  const float* C = nullptr;      // [L, G N]
  const float* delta = nullptr;  // [L, G R], dense
  const float* gain = nullptr;   // g, [L, G R], dense; null: 1
  const float* A = nullptr;      // [G R], not positive
  const float* D = nullptr;      // [G R]
};

// y [L, G R P], dense; h [G R, N, P] is what it was before the tokens, and then what it is after them.
void dual_scan_forward(const DualScanInput& in, float* h, float* y);

}  // namespace formwork
