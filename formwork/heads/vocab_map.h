// The map from a stream to logits over the vocabulary: y = x W^T + b, W [vocab, D], a matrix of its own or
// the embedding's (Press and Wolf, 2017).
#pragma once
#include "formwork/linear/split_linear.h"

namespace formwork {

class VocabMap {
 public:
  // Reads axis `in` at the tap `input`; shares build.embedding where there is one.
  VocabMap(const Build& build, const Axis& in, Slot input, bool bias);
  Tensor forward(Context& ctx, const Tensor& x) const;
  Split carry(SplitPass& pass, const Split& x) const;

 private:
  LinearMap* map_;
  std::unique_ptr<LinearMap> own_;
  Param* bias_ = nullptr;  // of a tied map
};

}  // namespace formwork
