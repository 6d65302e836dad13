// Cross-entropy of token or class predictions.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// scale * sum over rows of logsumexp(logits[row]) - logits[row, target], rows with target -100 left out.
// logits [..., C] of any floating dtype, targets [...] int64 -> a scalar, float32 (float64 for float64).
Tensor token_cross_entropy(const Tensor& logits, const Tensor& targets, double scale);

}  // namespace formwork
