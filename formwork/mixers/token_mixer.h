// Token mixers mix along tokens (attention is one of many).
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// A mixer is built with build.in, build.out (stream axes), build.causal and build.input.
class TokenMixer : public Layer {
 public:
  static const char* kind() { return "mixers"; }
  static const char* noun() { return "token mixer"; }

  // x [B, T, in] -> [B, T, out]; packed rows (layout offsets) go through mix_packed.
  Tensor forward(Context& ctx, const Tensor& x) final;

 protected:
  // Rows of left-aligned tokens, with ctx.layout->lengths where rows differ.
  virtual Tensor mix(Context& ctx, const Tensor& x) = 0;
  // x [1, N, in] with ctx.layout->offsets: sequences that must not see each other. The shared form pads.
  virtual Tensor mix_packed(Context& ctx, const Tensor& x);
};

// Builds a mixer; an option "along" (a token dimension by name), which every mixer has, wraps it so that the
// other token dimensions become batch.
std::unique_ptr<TokenMixer> make_mixer(Build& build, const PartSpec& spec);

}  // namespace formwork
