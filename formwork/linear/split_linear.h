// Maps whose product is linear in x, and so offer the facet `split`. (Maps that round their inputs do not.)
#pragma once
#include "formwork/core/split.h"
#include "formwork/linear/linear_map.h"

namespace formwork {

class SplitLinear : public LinearMap, public SplitFacet {
 public:
  using LinearMap::LinearMap;
  // Both sides times W, and the bias shared; through the map's taps, as forward. A single matrix.
  Split carry(SplitPass& pass, const Split& x) final;

 protected:
  // x W^T of both sides, without bias.
  virtual Split products(SplitPass& pass, const Split& x);
};

// A split through a map, which must offer the facet.
inline Split through(SplitPass& pass, LinearMap& map, const Split& x) {
  return pass.through(map, map.path(), x, map.type());
}

}  // namespace formwork
