// Pruning by a score of each weight: the lowest go, over the whole matrix, in each output row, or m - n of
// every m neighbours. What is left is stored as a masked map.
#pragma once
#include "formwork/transforms/transform.h"

namespace formwork {

struct PruneOptions {
  double sparsity = 0.5;
  int64_t n = 0, m = 4;
  void describe(Fields& f) {
    f.number("sparsity", sparsity, "share of each map's weights that becomes zero, unless n is given", 0, 1);
    f.integer("n", n, "keep n of every m neighbours; 0: no such pattern", 0, 256);
    f.integer("m", m, "neighbours along the inputs", 1, 256);
  }
};

std::vector<Json> prune_budgets();
// Share of zeros among the weights of the maps that were pruned.
Budget prune_budget(const PruneOptions& options, const TransformResult& made);
// The masked map that keeps the highest scores [out, in] of a map.
Replacement prune_map(LinearMap& map, const Tensor& scores, const PruneOptions& options, bool by_row);

}  // namespace formwork
