// What a graph of autograd ends in.
#pragma once
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

// The leaves that the graph of these tensors reaches, each once: the parameters that they depend on, through
// segments that are recomputed too.
std::vector<Tensor> graph_leaves(const std::vector<Tensor>& outputs);

}  // namespace formwork
