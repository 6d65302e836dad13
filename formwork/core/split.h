// Facet `split`: how a part carries a split of its input. Every activation is x = relevant + rest, where
// `relevant` comes from a chosen source and `rest` from all else; each part has a rule that splits its output
// in the same way, so that one pass says what a source contributes to anything later in the model.
//
//   linear      W x + b         relevant W + b w and rest W + b (1 - w), w = |relevant W| / (|relevant W| +
//                               |rest W|) for each element, 0 where both are 0
//   norm        each side is centred by its own mean, both are divided by the deviation of the whole, and the
//               bias is shared as above, by the sizes of the inputs
//   activation  rest' = f(rest), relevant' = f(x) - f(rest); shapley: relevant' = the mean of that and
//               f(relevant) - f(0)
//   attention   frozen: the weights A of the whole x, A v for each side. split: A_rel from the relevant
//               queries and keys, relevant' = A_rel v_relevant, rest' = A v - relevant'
//   residual    side by side
//
// Whatever the rule, relevant' + rest' is the part's output for the whole x, a relevant side of zeros stays
// one, and so does a rest of zeros (where f(0) = 0).
//
// Source: Mechanistic Interpretation through Contextual Decomposition in Transformers (2024).
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "formwork/core/options.h"
#include "formwork/core/part.h"

namespace formwork {

struct Inventory;

struct Split {
  Tensor relevant, rest;  // of one shape
  Tensor whole() const { return relevant + rest; }
};

// What the rules leave open.
struct SplitRules {
  std::string attention = "frozen", bias = "exact", activation = "remainder", sign_repair = "none";
  void describe(Fields& f);
};

// Where a side with the opposite sign may be taken into the other.
enum class SplitPlace { mixer, channel };

// One pass of splits through a model.
class SplitPass {
 public:
  using Listener = std::function<Split(Slot, const Split&)>;

  // Throws where ctx is in training mode, and where parts are attached to taps of the model.
  SplitPass(Context& ctx, const Inventory& inventory, const SplitRules& rules);

  Context& ctx() { return ctx_; }
  const SplitRules& rules() const { return rules_; }

  // As the taps of a plain pass: x, or what a listener made of it.
  void listen(Slot slot, Listener listener);
  Split tap(Slot slot, Split x);

  // Through a part that must offer the facet; where it does not, an error names its path and its type (empty:
  // that registered at the path).
  Split through(Part& part, const std::string& path, const Split& x, const std::string& type = "");

  // y with a bias added, shared by the sizes of the two sides of `by`; an undefined bias adds nothing.
  Split share_bias(const Split& y, const Split& by, const Tensor& bias) const;
  // f(x) for a function of the whole x alone, by the rule of activations.
  Split function(const Split& x, const std::function<Tensor(const Tensor&)>& f) const;
  // Sign repair, where the rules ask for it at this place: where the sides have opposite signs, the larger
  // one (the relevant one when they are equal) takes the sum and the other becomes 0. It is not linear:
  // contributions of sources no longer add up to that of their union.
  Split repaired(const Split& x, SplitPlace place) const;

 private:
  Context& ctx_;
  const Inventory& inventory_;
  SplitRules rules_;
  std::map<Slot, std::vector<Listener>> listeners_;
};

class SplitFacet {
 public:
  virtual ~SplitFacet() = default;
  // x as the part's forward takes it, and the split of what that returns (of the one field that a head
  // writes). pass.ctx().layout as in forward.
  virtual Split carry(SplitPass& pass, const Split& x) = 0;
};

// The facet of a model: its segments and what is read off the last stream, in the model's own order of tokens
// (left-aligned, see core/layout.h).
class SplitModelFacet {
 public:
  virtual ~SplitModelFacet() = default;
  // The stream through segments [first, last).
  virtual Split carry(SplitPass& pass, int64_t first, int64_t last, Split x) = 0;
  // The head's field.
  virtual Split finish(SplitPass& pass, const Split& x) = 0;
};

// f of each side, for what is linear in the stream. `f` is called once, on both sides as one batch.
template <class F>
Split on_both_sides(const Split& x, const F& f) {
  const auto sides = f(at::cat({x.relevant, x.rest}, 0)).chunk(2, 0);
  return {sides[0], sides[1]};
}

inline Split operator+(const Split& a, const Split& b) { return {a.relevant + b.relevant, a.rest + b.rest}; }
// Times a number, or a tensor that does not depend on the sides apart.
template <class Factor>
Split operator*(const Split& x, const Factor& factor) {
  return {x.relevant * factor, x.rest * factor};
}

}  // namespace formwork
