// Mamba-2's mixer: a state space model with heads, whose decay is one number a head.
//
//   [z, x, B, C, r] = u W_in^T;  [x, B, C] = SiLU(conv([x, B, C]));  delta = clamp(softplus(r + b), low,
//   high) h_t = exp(delta_t A) h_{t-1} + delta_t x_t B_t^T;  y_t = h_t C_t + D x_t out = RMSNorm(y * SiLU(z))
//   W_out^T
//
// u [B, T, D]; z, x [B, T, H, P]; B, C [B, T, G, N], one for the H / G heads of a group; delta [B, T, H]; A =
// -exp(A_log), D and b [H]; h [B, H, P, N]. The norm is over the channels of one group, with a gain for each.
// Training and prefill are matrix products over chunks of tokens (dual_scan.h), a step of decoding is one of
// the recurrence; both are linear in T. Facet `matrix`: one matrix for each head. Source: Transformers are
// SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality (2024).
#pragma once
#include "formwork/core/facet.h"
#include "formwork/linear/conv/depthwise.h"
#include "formwork/mixers/recurrent/dual_scan.h"
#include "formwork/mixers/recurrent/mamba2_options.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {

class Mamba2 final : public TokenMixer, public CostFacet, public MatrixFacet {
 public:
  using Options = Mamba2Options;

  Mamba2(Build& build, const Options& options);
  Traits traits() const override;
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  Tensor append(Context& ctx, const Tensor& x, State* state) override;
  double flops_per_token(int64_t context) const override;
  TokenMatrix matrix(Context& ctx, const Tensor& x) override;

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override;

 private:
  // What a call carries in and hands on.
  struct Carry {
    Tensor window;  // [B, K, H P + 2 G N] inputs of the convolution
    Tensor h;       // [B, H, P, N]
  };
  // What the scan needs of one call, the gate [B, T, H P], and the inputs of the convolution.
  struct Projected {
    DualScan scan;
    Tensor gate, raw;
  };
  void make_maps(Build& build);
  void make_parameters(Build& build);
  int64_t heads() const { return groups_.size * heads_.size; }
  int64_t inner() const { return heads() * head_width_.size; }
  int64_t convolved() const { return inner() + 2 * groups_.size * state_.size; }
  Tensor run(Context& ctx, const Tensor& u, const Carry* before, Carry* after);
  Projected project(Context& ctx, const Tensor& u, const Carry* before);
  DualScan prepare(Context& ctx, const Tensor& xbc, const Tensor& steps);
  Tensor step_sizes(Context& ctx, const Tensor& raw);
  Tensor finish(Context& ctx, const Tensor& y, const Tensor& gate, at::ScalarType type);
  Tensor normalize(Context& ctx, const Tensor& y);

  Options options_;
  std::string path_;
  Axis groups_, heads_, head_width_, state_;  // heads_: of one group
  std::unique_ptr<LinearMap> in_, out_;
  std::unique_ptr<DepthwiseConv> conv_;
  Param *a_log_, *skip_, *step_bias_;
  Param* gain_ = nullptr;
  Slot step_tap_;
};

}  // namespace formwork
