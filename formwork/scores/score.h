// Scores: how logits become weights over keys.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

class Score : public Part {
 public:
  static const char* kind() { return "scores"; }
  static const char* noun() { return "score"; }
  // logits [B, H, Tq, Tk], permitted [B|1, 1|H, Tq, Tk] bool (undefined: all) -> weights, zero where not
  // permitted; a row without permitted keys is all zero.
  virtual Tensor weights(Context& ctx, const Tensor& logits, const Tensor& permitted) = 0;
  // Whether the fused softmax kernels compute exactly this.
  virtual bool is_softmax() const { return false; }
};

}  // namespace formwork
