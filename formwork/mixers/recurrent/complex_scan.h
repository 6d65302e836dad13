// The selective scan with complex decay rates A + i W, whose states stand for conjugate pairs:
//
//   h_t = exp(delta_t (A + i W)) h_{t-1} + f_t B_t x_t,   y_t = (2 Re sum_n C_t[n] h_t[n] + D x_t) *
//   SiLU(z_t)
//
// Turned back by the phase so far, g_t = exp(-i W sum_{r<=t} delta_r) h_t follows the real recurrence of
// decay exp(delta A). Its real and imaginary parts are two real scans, and nothing can overflow. States are
// kept for a chunk of tokens at a time (chunked_scan.h), with `plain` all of [B, L, E, N]. Sources: On the
// Parameterization and Initialization of Diagonal State Space Models (2022); Mamba: Linear-Time Sequence
// Modeling with Selective State Spaces (2023).
#pragma once
#include "formwork/mixers/recurrent/selective_scan.h"

namespace formwork {

// W [E, N]. B and C of `scan` end in [.., N, 2] (real and imaginary part), and so do h0 and the final state
// [B, E, N, 2], which comes with y [B, L, E].
std::pair<Tensor, Tensor> complex_scan(const SelectiveScan& scan, const Tensor& W, bool plain);

// The matrix over tokens of a scan, real (W undefined) or complex: [B, E, L, L] with
//
//   M[t, s] = sum_n C_t[n] exp((A + i W) sum_{s<r<=t} delta_r) f_s B_s[n]   for s <= t  (2 Re of it, complex)
//
// and D on the diagonal, so that y = (M x) * SiLU(z) from h0 = 0. Source: The Hidden Attention of Mamba
// Models (2024).
Tensor selective_scan_matrix(const SelectiveScan& scan, const Tensor& W);

}  // namespace formwork
