// Sparse trees of drafts, chosen beforehand (Medusa, Cai et al., 2024). A path names a node by its choices:
// [0, 2] is the third candidate of depth 2 after the first of depth 1. Nodes are ordered by depth and then by
// path, the root, which is certain, first; depth d takes its candidates from draft d.
#pragma once
#include <cstdint>
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

class DraftTree {
 public:
  using Path = std::vector<int64_t>;

  // Throws Error that names a path whose parent is missing, that stands twice, or that has a choice below 0.
  explicit DraftTree(std::vector<Path> paths);
  static DraftTree root_alone() { return DraftTree({}); }
  static DraftTree chain(int64_t depth);
  // `widths[d]` candidates at depth d + 1, under every node.
  static DraftTree full(const std::vector<int64_t>& widths);
  // The 63 paths that the authors of Medusa published for a model of 7 B parameters, down to a depth.
  static DraftTree medusa(int64_t depth);
  // The `nodes` paths below the root with the greatest products of accuracies[depth - 1][choice], of which
  // each is the share of tokens that are this candidate of this draft. Throws Error for fewer candidates than
  // nodes.
  static DraftTree likeliest(const std::vector<std::vector<double>>& accuracies, int64_t nodes);
  // "medusa" (cut at `depth`), "chain", {"full": [3, 3, 3]} or a list of paths. Throws Error where it is
  // deeper than `depth`.
  static DraftTree from_json(const Json& json, int64_t depth);

  int64_t size() const { return static_cast<int64_t>(parents_.size()); }
  int64_t depth() const { return depths_.back(); }
  const std::vector<int64_t>& parents() const { return parents_; }  // -1: the root's
  const std::vector<int64_t>& depths() const { return depths_; }
  const std::vector<int64_t>& choices() const { return choices_; }  // of its candidates; the root's 0
  Path path_of(int64_t node) const;
  int64_t width(int64_t depth) const;  // candidates that depth needs
  Tensor parent_row() const;           // [1, nodes] int64

  // As Medusa keeps them: the place of each node in a list of the root and `candidates` of each depth,
  std::vector<int64_t> slots(int64_t candidates) const;
  // and the nodes from the root to each leaf, leaves from last to first, -1 behind the shorter ones.
  std::vector<std::vector<int64_t>> leaf_paths() const;

 private:
  std::vector<int64_t> parents_, depths_, choices_;
};

}  // namespace formwork
