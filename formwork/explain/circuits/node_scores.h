// What heads at places contribute to the logits, and to other heads, by contextual decomposition (CD-T). A
// node is (layer, position, head), layers as in head_sites. As a source its result z moves to the relevant
// side where its layer has computed it:
//
//   zero   z_relevant = z, z_rest = 0            mean   z_relevant = z - mu, z_rest = mu
//
// and one pass of splits (core/split.h) carries it on. Sources are unrolled along the batch: pass row n * B +
// b is source n on prompt b. A pass begins at the earliest layer of its sources, with the stream that a plain
// pass had there, and ends after the last layer of the targets.
//
// Source: Mechanistic Interpretation through Contextual Decomposition in Transformers (2024).
#pragma once
#include <compare>
#include <string>
#include <vector>

#include "formwork/core/split.h"
#include "formwork/explain/circuits/head_record.h"

namespace formwork {

struct Node {
  int64_t layer = 0, position = 0, head = 0;
  auto operator<=>(const Node&) const = default;
  std::string text() const { return fmt::format("{}.{}@{}", layer, head, position); }
};

// Where and how a target's share is read.
struct TargetRead {
  // z, query, key or value.
  std::string place = "z";
  // own: at the target's own position. attended: keys and values at every position, weighted by the attention
  // that the target pays to it.
  std::string at = "own";
  // l1: mean|relevant| / (mean|relevant| + mean|rest|). dot: <relevant, x - mu>.
  std::string score = "dot";
};

struct SourceOptions {
  std::string inject = "mean";
  int64_t chunk = 0;  // sources of a pass; 0: 64 / B, at least 1
};

class NodeScores {
 public:
  // `means` of a reference set: needed where sources inject the mean and where targets are read by "dot".
  // Fails where they are missing, or are those of rows of another length. The arguments must outlive this.
  NodeScores(Model& model, const std::vector<HeadSite>& sites, const HeadRecord& prompts,
             const std::vector<HeadActivations>& means, SplitRules rules, SourceOptions options);

  // Every node, layer by layer.
  std::vector<Node> all() const;
  // Fails, naming `what`, for a node outside of the model or the prompts.
  void check(const Node& node, const std::string& what) const;

  // The sides of the logits for each source and prompt: [N, B, V] at the last token, or [N, B, C].
  Split logits(const std::vector<Node>& sources);
  // The score of each source at each target, the mean over prompts: [N, M]; 0 where a source is a target.
  // Fails where no source lies before a target.
  Tensor at_targets(const std::vector<Node>& sources, const std::vector<Node>& targets,
                    const TargetRead& read);

 private:
  struct Chunk;
  int64_t sources_at_once() const;
  void check_read(const std::vector<Node>& sources, const std::vector<Node>& targets,
                  const TargetRead& read) const;
  template <class Work>
  void in_chunks(const std::vector<Node>& sources, const Work& work);
  // From the sources to segment `last`; `listen` adds listeners for each layer on the way.
  template <class Listen>
  Split carry(Context& ctx, const Chunk& chunk, int64_t last, const Listen& listen);
  void inject(SplitPass& pass, const Chunk& chunk, size_t layer) const;
  Tensor read_one(const Node& target, const TargetRead& read, const Split& x) const;

  Model& model_;
  SplitModelFacet& view_;
  const std::vector<HeadSite>& sites_;
  const HeadRecord& prompts_;
  const std::vector<HeadActivations>& means_;
  SplitRules rules_;
  SourceOptions options_;
};

// Scores [N] of sources divided by the sum over their layer: of absolute values ("absolute"), or as published
// ("signed", 0 counts as -1e-8), where a negative sum turns a layer's order around.
Tensor share_of_layer(const Tensor& scores, const std::vector<Node>& sources, const std::string& sum);

}  // namespace formwork
