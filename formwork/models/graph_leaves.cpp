#include "formwork/models/graph_leaves.h"

#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <unordered_set>

namespace formwork {

std::vector<Tensor> graph_leaves(const std::vector<Tensor>& outputs) {
  namespace autograd = torch::autograd;
  std::vector<Tensor> leaves;
  std::unordered_set<autograd::Node*> seen;
  std::vector<autograd::Node*> open;
  const auto visit = [&](autograd::Node* node) {
    if (node && seen.insert(node).second) open.push_back(node);
  };
  autograd::edge_list roots;  // holds the accumulator of an output that is a leaf itself
  for (const auto& output : outputs) roots.push_back(autograd::impl::gradient_edge(output));
  for (const auto& root : roots) visit(root.function.get());
  while (!open.empty()) {
    auto* node = open.back();
    open.pop_back();
    if (const auto* end = dynamic_cast<autograd::AccumulateGrad*>(node)) leaves.push_back(end->variable);
    for (const auto& edge : node->next_edges()) visit(edge.function.get());
  }
  return leaves;
}

}  // namespace formwork
