// Softmax cross-entropy on rows of logits, with a target index for each row.
#pragma once
#include <cstdint>

#include "formwork/kernels/cpu/bfloat16.h"

namespace formwork {

// loss[row] = logsumexp(logits[row]) - logits[row, target]; rows whose target is `ignore` have loss 0 and no
// gradient. T is float or double, and bfloat16 where the loss and the gradient are separate (losses and scale
// are then float).
struct CrossEntropy {
  std::int64_t rows, classes;
  std::int64_t stride;  // elements from one row of logits to the next, at least `classes`
  std::int64_t ignore = -100;
};

// logits [rows, classes], targets [rows] -> losses [rows], logsumexp [rows]. One pass over the logits.
// Throws Error for a target outside [0, classes).
template <class T>
void cross_entropy_forward(const CrossEntropy& shape, const T* logits, const std::int64_t* targets,
                           typename ComputeType<T>::Type* losses, typename ComputeType<T>::Type* logsumexp);

// The logits' gradient, (softmax - onehot) * scale, [rows, classes] as they are; it may be written over them.
template <class T>
void cross_entropy_gradient(const CrossEntropy& shape, const T* logits, const std::int64_t* targets,
                            const typename ComputeType<T>::Type* logsumexp,
                            typename ComputeType<T>::Type scale, T* gradient);

// Both at once while a row is in cache: losses [rows], and the logits become their gradient.
template <class T>
void cross_entropy_fused(const CrossEntropy& shape, T* logits, const std::int64_t* targets, T* losses,
                         T scale);

}  // namespace formwork
