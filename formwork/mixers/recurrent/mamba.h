// Mamba's mixer: a diagonal state space model whose step size and input and output matrices follow the token.
//
//   [x, z] = u W_in^T;  x = SiLU(conv(x));  [r, B, C] = x W_x^T;  delta = softplus(r W_delta^T + b)
//   h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t;  y_t = C_t h_t + D x_t;  out = (y * SiLU(z)) W_out^T
//
// u [B, T, D]; x, z, delta [B, T, E]; B, C [B, T, N]; A = -exp(A_log) [E, N]; h [B, E, N]. Linear in T, and a
// step of decoding costs the same at any position. Any of delta, B and C may be constant instead (then
// S4D-like). With `complex`, A = -exp(A_log) + i A_imag, B and C are complex, and y_t = 2 Re(C_t h_t) + D
// x_t: complex_scan.h. Facet `matrix`: one matrix for each inner channel. Source: Mamba: Linear-Time Sequence
// Modeling with Selective State Spaces (2023).
#pragma once
#include "formwork/core/facet.h"
#include "formwork/linear/conv/depthwise.h"
#include "formwork/mixers/recurrent/mamba_options.h"
#include "formwork/mixers/recurrent/selective_scan.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {

class Mamba final : public TokenMixer, public CostFacet, public MatrixFacet {
 public:
  using Options = MambaOptions;

  Mamba(Build& build, const Options& options);
  Traits traits() const override;
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  Tensor append(Context& ctx, const Tensor& x, State* state) override;
  double flops_per_token(int64_t context) const override;
  TokenMatrix matrix(Context& ctx, const Tensor& x) override;

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override;

 private:
  // What a call carries in and hands on; undefined: zeros.
  struct Carry {
    Tensor window;  // [B, K, E] inputs of the convolution
    Tensor h;       // [B, E, N], complex [B, E, N, 2]
  };
  // What the scan needs of one call, and the inputs [B, T, E] of the convolution.
  struct Projected {
    SelectiveScan scan;
    Tensor frequencies;  // [E, N], the imaginary part of A; undefined: real
    Tensor raw;
  };
  void make_maps(Build& build, const Options& options);
  void make_parameters(Build& build, const Options& options);
  Dim states() const;  // of one token or channel, as numbers
  Tensor run(Context& ctx, const Tensor& u, const Carry* before, Carry* after);
  Projected project(Context& ctx, const Tensor& u, const Carry* before);
  SelectiveScan prepare(Context& ctx, const Tensor& x, const Tensor& z);
  Tensor step_sizes(Context& ctx, const Tensor& low_rank, const Tensor& x);

  std::string path_;
  Axis inner_, state_, rank_;
  int64_t window_;
  bool zoh_, complex_, selective_delta_, selective_b_, selective_c_;
  std::unique_ptr<LinearMap> in_, x_, delta_, out_;
  std::unique_ptr<DepthwiseConv> conv_;
  Param* a_log_;
  Param* a_imag_ = nullptr;
  Param* skip_;
  Param* delta_bias_ = nullptr;  // constants where they do not follow the token
  Param* b_ = nullptr;
  Param* c_ = nullptr;
  Slot step_tap_;
};

}  // namespace formwork
