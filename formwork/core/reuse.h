// Writing a result over memory that nobody needs any more: what was just read is still in cache, and a pass
// needs less memory.
#pragma once
#include <torch/csrc/autograd/graph_task.h>

#include "formwork/core/tensor.h"

namespace formwork {

// Whether the caller's own `holders` references are all there are to x, which is dense, and to its memory.
// Listeners, other views and tensors that were saved for a backward pass would be further ones.
inline bool only_held_by(const Tensor& x, size_t holders) {
  return x.is_contiguous() && x.use_count() <= holders && x.storage().use_count() == 1;
}

// The same of a tensor that save_for_backward keeps and the backward pass has unpacked into one place: nobody
// else holds it, and the graph is not kept for another pass.
inline bool may_overwrite_saved(const Tensor& x) {
  return !torch::autograd::get_current_graph_task_keep_graph() && only_held_by(x, 2);
}

// The same of an incoming gradient, where `x` is one further reference to it.
inline bool may_overwrite_gradient(const Tensor& x) { return only_held_by(x, 2); }

}  // namespace formwork
