// Activations: elementwise functions between the maps of a channel mixer.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"
#include "formwork/core/split.h"

namespace formwork {

class Activation : public Part, public SplitFacet {
 public:
  static const char* kind() { return "activations"; }
  static const char* noun() { return "activation"; }
  virtual Tensor forward(Context& ctx, const Tensor& x) = 0;
  // f(gate) * up of x = [gate | up], [..., 2F] -> [..., F].
  virtual Tensor gate(Context& ctx, const Tensor& x) {
    const auto halves = x.chunk(2, -1);
    return forward(ctx, halves[0]) * halves[1];
  }
  Split carry(SplitPass& pass, const Split& x) override {
    return pass.function(x, [&](const Tensor& side) { return forward(pass.ctx(), side); });
  }
  // gate(x) by the same rule: what the relevant side adds to the gated rest.
  Split carry_gate(SplitPass& pass, const Split& x) {
    return pass.function(x, [&](const Tensor& side) { return gate(pass.ctx(), side); });
  }
  // The largest symmetry of the axis it acts on: f(Px) = P f(x).
  virtual Group symmetry() const { return Group::permute; }
};

}  // namespace formwork
