// Parts: registered, replaceable modules. Every kind of part (token mixer, channel mixer, norm, ...) derives
// from Part, is built from a Build and its Options, and promises traits that the conformance suites test.
#pragma once
#include <string>

#include "formwork/core/context.h"
#include "formwork/core/param.h"
#include "formwork/core/state.h"

namespace formwork {

struct Traits {
  bool causal = false;               // no output depends on a later token
  bool batch_independent = true;     // no output depends on another row
  bool length_free = true;           // any number of tokens
  bool trees = false;                // takes tokens that form a tree (layout.tree), and its state can `keep`
  bool deterministic = true;         // two evaluations agree bit for bit
  bool twice_differentiable = true;  // under Mode::twice_differentiable
  bool trainable = true;             // its own weights can be trained
  bool float64 = true;               // the same function in float64, more exactly
};

class Part {
 public:
  virtual ~Part() = default;
  virtual Traits traits() const { return {}; }
};

// A part that acts on a stream, x [B, T, in] -> [B, T, out], and may carry a state.
class Layer : public Part {
 public:
  virtual Tensor forward(Context& ctx, const Tensor& x) = 0;
  // A fresh state; null when each token is treated alone.
  virtual std::unique_ptr<State> make_state(const StateOptions&) const { return nullptr; }
  // Takes n more tokens of each row, x [B, n, in] -> [B, n, out]. With ctx.layout->lengths, only the first
  // lengths[b] tokens of row b enter the state.
  virtual Tensor append(Context& ctx, const Tensor& x, State* state) { return forward(ctx, x); }
};

// Facet `cost`: floating-point operations of a part beyond those of its linear maps.
class CostFacet {
 public:
  virtual ~CostFacet() = default;
  // For one token that sees `context` tokens.
  virtual double flops_per_token(int64_t context) const = 0;
};

// A facet of a part, or null; registered facets are the interfaces of this header.
template <class Facet>
const Facet* facet(const Part& part) {
  return dynamic_cast<const Facet*>(&part);
}

}  // namespace formwork
