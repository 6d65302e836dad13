// Decoding by trees of drafts: one pass of the model verifies drafts of several next tokens side by side, and
// the tokens on the longest path that it accepts are made at once. What proposes drafts (Drafter) and what
// accepts them (Acceptance) are exchanged independently; whatever the drafts, an exact acceptance gives the
// tokens of the strategy that it asks.
//
//   root, which is certain -> tree of drafts -> one append with the tree -> accepted path and the token after
//   it, the next root -> the state keeps the path alone
//
// Passes are run by LibTorch: the runtime has no form for trees. Sources: SpecInfer (Miao et al., 2023);
// Medusa (Cai et al., 2024).
#pragma once
#include "formwork/decode/decode_strategy.h"
#include "formwork/decode/draft_tree.h"

namespace formwork {

// A tree, and the token of each node [B, nodes] int64, roots first; -1: no draft there.
struct Proposal {
  const DraftTree& tree;
  Tensor tokens;
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  // The drafts of the next pass after roots [B].
  virtual Proposal propose(const Tensor& roots) = 0;
  // Adds to the pass what the drafter asks of it.
  virtual void prepare(Context& ctx, Record& in, int64_t nodes) {}
  // The outputs of a pass over a tree of so many nodes, and of each row the nodes that it went along, root
  // first.
  virtual void see(const Record& out, int64_t nodes, const std::vector<std::vector<int64_t>>& paths) = 0;
  // Goes on with these rows [R] int64 alone, in this order.
  virtual void select(const Tensor& rows) = 0;
};

class Acceptance {
 public:
  // What a pass says of one row.
  struct Verdict {
    const DraftTree& tree;
    const std::vector<int64_t>& tokens;  // of the nodes
    const Tensor& logits;                // [nodes, V], of the token after each node
    int64_t row;                         // its place in the prompt
    std::vector<std::vector<int64_t>>&
        written;           // of each row of the prompt: its tokens so far, root included
    uint64_t seed, index;  // of the request; of the next token of this row, from 0
  };
  // The nodes of the accepted path from the root on, and the token after each of them.
  struct Accepted {
    std::vector<int64_t> path, tokens;
  };
  virtual ~Acceptance() = default;
  // Writes the tokens.
  virtual Accepted accept(const Verdict& verdict) const = 0;
};

// Asks a strategy for the token after each node, beginning at the root, and goes to the draft that has it:
// the result is that strategy's own. For draws this is speculative rejection (Leviathan et al., 2023) of
// drafts that are certain: one is accepted with its probability, and the rest is drawn without it.
std::unique_ptr<Acceptance> exact_acceptance(const PartSpec& strategy);
// Typical acceptance (Cai et al., "Medusa", 2024), which is not exact: a draft is accepted where p > min(
// threshold, alpha exp(-H)), p of its token and H the entropy after its parent at this temperature; of the
// longest paths the most probable. `strategy` chooses the token after the path.
std::unique_ptr<Acceptance> typical_acceptance(const PartSpec& strategy, double temperature, double threshold,
                                               double alpha);

// Continues every row of the prompt. Throws Error as a decode strategy does, and where a mixer of the model
// takes no trees.
std::vector<Continuation> decode_by_trees(Model& model, const DecodeRequest& request, Drafter& drafter,
                                          const Acceptance& acceptance);

}  // namespace formwork
