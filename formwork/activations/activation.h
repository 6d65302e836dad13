// Activations: elementwise functions between the maps of a channel mixer.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

class Activation : public Part {
 public:
  static const char* kind() { return "activations"; }
  static const char* noun() { return "activation"; }
  virtual Tensor forward(Context& ctx, const Tensor& x) = 0;
  // f(gate) * up of x = [gate | up], [..., 2F] -> [..., F].
  virtual Tensor gate(Context& ctx, const Tensor& x) {
    const auto halves = x.chunk(2, -1);
    return forward(ctx, halves[0]) * halves[1];
  }
  // The largest symmetry of the axis it acts on: f(Px) = P f(x).
  virtual Group symmetry() const { return Group::permute; }
};

}  // namespace formwork
