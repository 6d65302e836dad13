// How far a reconstruction is from what it should give back.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// Tokens scaled to mean 0 and variance 1 over their channels (variance + 1e-5 under the root, no gain and no
// bias), x [.., D].
Tensor normalized_tokens(const Tensor& x);

// The mean squared error over channels and real tokens, y and target [B, T, D]; keep [B, T] bool, undefined
// where all are real.
Tensor feature_distance(const Tensor& y, const Tensor& target, const Tensor& keep);

// Binary cross-entropy of sigmoid(logits) with pixels in [0, 1], its mean over pixels and channels.
Tensor pixel_distance(const Tensor& logits, const Tensor& pixels);

}  // namespace formwork
