// Circuits by contextual decomposition: the heads at places that a model needs for one behaviour.
//
//   search   every node is a source, the logits are the target: keep the k of highest score. What was kept
//            becomes the targets, every node is a source again: keep k; and so on until all kept lie in layer
//            0. The circuit is the union over rounds, and over the places at which targets are read.
//   prune    while leaving a node out raises the faithfulness, leave out the one that raises it most.
//
// The score at the logits is relevant[answer] - relevant[foil]; at targets see node_scores.h.
//
//   m(C) = the mean over prompts of logit[answer] - logit[foil], where every head's result outside C is its
//   mean
//          over the reference set, at its place
//   F(C) = (m(C) - m(nothing)) / (m(everything) - m(nothing))
//
// MLPs are left alone. Source: Mechanistic Interpretation through Contextual Decomposition in Transformers
// (2024).
#pragma once
#include "formwork/explain/circuits/node_scores.h"

namespace formwork {

// Prompts of one template: rows of T tokens, whose last token the answer follows; or rows of a classifier.
struct CircuitPrompts {
  Record rows;
  Tensor answers, foils;  // [B] int64: tokens, or classes
  Record reference;       // rows of the same template with other contents; empty: there are none
};

struct CircuitOptions {
  SplitRules rules;
  SourceOptions sources;
  std::vector<TargetRead> reads = {{}};
  std::string layer_sum = "absolute";
  int64_t keep_per_round = 2;
  bool prune = true;
};

// What a round kept, with its score; and its share at each target, undefined in the first round.
struct Kept {
  Node node;
  double score;
  std::vector<double> at_targets;
};

struct Round {
  std::string place;          // "logits", or where targets were read
  std::vector<Node> targets;  // none: the logits
  std::vector<Kept> kept;
};

class CircuitFinder {
 public:
  // Fails for answers that equal their foils or lie outside the logits, for rows of unequal length and for
  // reference rows of another length than the prompts.
  CircuitFinder(Model& model, const CircuitPrompts& prompts, CircuitOptions options);
  CircuitFinder(const CircuitFinder&) = delete;

  NodeScores& scores() { return *scores_; }
  const std::vector<HeadSite>& sites() const { return sites_; }
  const HeadRecord& prompts() const { return prompts_; }

  // Of nodes against the logits: [N], the mean over prompts.
  Tensor logit_scores(const std::vector<Node>& nodes);
  std::vector<Round> search();
  // m of each circuit.
  std::vector<double> metric(const std::vector<std::vector<Node>>& circuits);
  std::vector<double> faithfulness(const std::vector<std::vector<Node>>& circuits);
  // What is left, and the nodes that were left out, in that order.
  std::vector<Node> pruned(std::vector<Node> circuit, std::vector<Node>& left_out);

 private:
  Round from_logits();
  Round from_targets(const std::vector<Node>& targets, const TargetRead& read);
  Tensor difference(const Tensor& logits) const;  // [..., B, V] -> [...]
  void check_answers(const Tensor& answers, const Tensor& foils) const;

  Model& model_;
  CircuitOptions options_;
  std::vector<HeadSite> sites_;
  HeadRecord prompts_;
  std::vector<HeadActivations> means_;
  Tensor answers_, foils_;
  std::unique_ptr<NodeScores> scores_;
  std::vector<double> ends_;  // m of nothing and of everything
};

// Nodes of all rounds, in order, each once.
std::vector<Node> union_of(const std::vector<Round>& rounds);

}  // namespace formwork
