// Maps inside maps: the factors of a low-rank map, the segments of a stacked one. They are entered into the
// inventory like every other map, so that a transform can treat them alone: quantize a factor, adapt it,
// factorize it again.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/linear/linear_map.h"

namespace formwork {

// Builds the map `name` inside the map at build's path: dense, unless the Spec's table names exactly its path
// (a pattern that chose the outer map would choose the inner one for ever).
std::unique_ptr<LinearMap> make_nested(const Build& build, const std::string& name, const LinearNeed& need);

// The map of `maps` that `map` is a piece of, the outermost one; null when there is none.
const LinearMap* enclosing(const std::vector<LinearMap*>& maps, const LinearMap& map);
// Whether a map of `maps` is a piece of `map`.
bool has_pieces(const std::vector<LinearMap*>& maps, const LinearMap& map);

}  // namespace formwork
