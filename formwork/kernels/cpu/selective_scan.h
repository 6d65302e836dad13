// The selective scan of a diagonal state space model, fused: discretize, scan and contract in one pass.
//
//   h_t[e,n] = exp(delta_t[e] A[e,n]) h_{t-1}[e,n] + f_t[e,n] B_t[n] x_t[e]
//   y_t[e]   = (sum_n C_t[n] h_t[e,n] + D[e] x_t[e]) * SiLU(z_t[e])
//
// f = delta (Euler), or (exp(delta A) - 1) / A with `zoh`. [B, L, E, N] never reaches main memory: the
// forward keeps the states at chunk borders and the backward recomputes the rest inside a chunk. Source:
// Mamba: Linear-Time Sequence Modeling with Selective State Spaces (2023).
#pragma once
#include <cstdint>

namespace formwork {

// Steps between two saved states.
inline constexpr int64_t kSelectiveScanChunk = 32;

// All arrays are dense and row-major. T is float or double.
template <class T>
struct SelectiveScanInput {
  int64_t batch = 0;                 // B
  int64_t length = 0;                // L >= 1
  int64_t channels = 0;              // E >= 1
  int64_t states = 0;                // N >= 1
  const T* delta = nullptr;          // [B, L, E], positive step sizes (softplus already taken)
  const T* A = nullptr;              // [E, N], not positive
  const T* B = nullptr;              // [B, L, N]
  const T* C = nullptr;              // [B, L, N]
  const T* x = nullptr;              // [B, L, E]
  const T* D = nullptr;              // [E], or null for no skip
  const T* z = nullptr;              // [B, L, E], or null for no gate
  const T* h0 = nullptr;             // [B, E, N], or null for zeros
  const int64_t* lengths = nullptr;  // [B], or null; from lengths[b] on delta counts as 0: the state stays
  bool zoh = false;
};

// Null members are not written, all others are overwritten.
template <class T>
struct SelectiveScanGradients {
  T* delta = nullptr;  // [B, L, E]
  T* A = nullptr;      // [E, N]
  T* B = nullptr;      // [B, L, N]
  T* C = nullptr;      // [B, L, N]
  T* x = nullptr;      // [B, L, E]
  T* D = nullptr;      // [E]
  T* z = nullptr;      // [B, L, E]
  T* h0 = nullptr;     // [B, E, N]
};

// Elements of the border buffer: B ceil(L / chunk) E N.
template <class T>
int64_t selective_scan_border_size(const SelectiveScanInput<T>& input);

// Writes y [B, L, E]; the final state [B, E, N] and the borders where they are not null.
// Throws Error when a size is below 1, a required array is missing, or a length is outside [0, L].
template <class T>
void selective_scan_forward(const SelectiveScanInput<T>& input, T* y, T* final_state, T* borders);

// dy [B, L, E]; d_final [B, E, N] or null. `borders` come from the forward of the same input.
template <class T>
void selective_scan_backward(const SelectiveScanInput<T>& input, const T* borders, const T* dy,
                             const T* d_final, const SelectiveScanGradients<T>& gradients);

}  // namespace formwork
