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
#include "formwork/mixers/recurrent/selective_scan.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {

class Mamba final : public TokenMixer, public CostFacet, public MatrixFacet {
 public:
  struct Options {
    int64_t d_state = 16, d_conv = 4, dt_rank = 0;
    double expand = 2, dt_min = 0.001, dt_max = 0.1, dt_init_floor = 1e-4;
    std::string dt_init = "random", discretization = "euler", a_init = "s4d";
    bool complex = false, selective_delta = true, selective_b = true, selective_c = true;
    void describe(Fields& f) {
      f.integer("d_state", d_state, "states of a channel (N)", 1, 4096);
      f.number("expand", expand, "inner channels over width (E / D)", 1e-3, 1024);
      f.integer("d_conv", d_conv, "width of the convolution (K)", 1, 1024);
      f.integer("dt_rank", dt_rank, "rank of the step sizes (R); 0: width / 16, rounded up", 0, 1 << 20);
      f.number("dt_min", dt_min, "smallest step size at the start", 1e-12, 1e6);
      f.number("dt_max", dt_max, "largest step size at the start", 1e-12, 1e6);
      f.number("dt_init_floor", dt_init_floor, "no step size starts below this", 1e-12, 1e6);
      f.choice("dt_init", dt_init, {"random", "constant"},
               "weights of the step sizes: U(+-R^-1/2) or R^-1/2");
      f.choice("discretization", discretization, {"euler", "zoh"}, "of B: delta B, or the exact hold");
      f.flag("complex", complex, "complex states, each with its conjugate");
      f.choice("a_init", a_init, {"s4d", "s4d_inv", "half", "random"},
               "decay at the start: -(n + 1), complex -1/2 + i pi n (S4D-Lin); complex -1/2 + i N/pi (N / "
               "(2n + 1) - 1); -1/2; -exp(N(0, 1))");
      f.flag("selective_delta", selective_delta, "the step size follows the token");
      f.flag("selective_b", selective_b, "the input matrix follows the token");
      f.flag("selective_c", selective_c, "the output matrix follows the token");
    }
  };

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
