// Token mixers whose state is the weights of a small network that learns while it reads (fast weights). For
// each head,
//
//   [q, k, v] = conv(x W_qkv^T), q and k of norm 1;  alpha, eta, theta, g = sigmoid(x W_r^T + b)
//   M_t = M_{t-1} after a step of the inner optimizer on the Omega objective of tokens t - c + 1 .. t
//   y_t = M_t(phi(q_t));  out = (RMSNorm(y) * SiLU(x W_g^T)) W_o^T
//
// x [B, T, D]; q, k [B, H, T, d]; v, y [B, H, T, dv]; the rates [B, H, T]. The memory's architecture, its
// features and its optimizer are parts. Gradients go through the inner updates, which stay on in evaluation;
// the choice "inner_updates" of a pass overrides the option `updates`. With chunk > 1 gradients are frozen at
// the start of each chunk, in decoding as in training (the state holds the place in the chunk); a model is
// decoded exactly with chunk 1. Size of the state and cost of a step do not depend on the tokens before,
// except with features by kernel (exp). Source: ATLAS: Learning to Optimally Memorize the Context at Test
// Time (2025); where it is silent (normalization, convolution, starts of the rates, fixed skip) this is ours.
#pragma once
#include "formwork/linear/conv/depthwise.h"
#include "formwork/mixers/fast_weights/inner_parts.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {

class FastWeights : public TokenMixer, public CostFacet {
 public:
  FastWeights(Build& build, const FastWeightOptions& options);
  Traits traits() const override;
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  Tensor append(Context& ctx, const Tensor& x, State* state) override;
  double flops_per_token(int64_t context) const override;

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override;

 private:
  // What a call carries in and hands on.
  struct Carry {
    Tensor window;  // [B, K, H (2 d + dv)] inputs of the convolution; undefined: zeros
    FastState memory;
  };
  void make_maps(Build& build);
  double starting_rate() const;
  Init rates_init() const;
  // How many rates a head has: alpha, eta, and theta and g where they are used.
  int64_t rate_count() const {
    return 2 + (inner_.optimizer->keeps_momentum() ? 1 : 0) + (options_.window > 1 ? 1 : 0);
  }
  int64_t channels() const { return heads_.size * (2 * key_width_.size + value_width_.size); }
  at::TensorOptions inner_options(const Tensor& x) const;
  Tensor run(Context& ctx, const Tensor& x, Carry& carry, bool keep_carry);
  InnerTokens project(Context& ctx, const Tensor& x, Carry& carry, bool keep_carry);
  void set_rates(InnerTokens& tokens, const Tensor& logits) const;
  Tensor finish(Context& ctx, const Tensor& x, const Tensor& y);

  FastWeightOptions options_;
  std::string path_;
  Axis heads_, key_width_, value_width_;
  InnerParts inner_;
  std::unique_ptr<LinearMap> qkv_, rates_, gate_, out_;
  std::unique_ptr<DepthwiseConv> conv_;
  Param* gain_;
  Slot read_tap_;
};

}  // namespace formwork
