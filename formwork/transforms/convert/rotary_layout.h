// The order of rotary pairs within a head: programs differ in it, and a checkpoint has one of the two.
#pragma once
#include <memory>

#include "formwork/models/model_io.h"

namespace formwork {

// The same function with channels (i, i + n / 2) or (2 i, 2 i + 1) of a head's n turning together: rows of
// queries and keys and what else carries their axis are reordered. The model itself where it has no other
// pairs.
std::shared_ptr<Model> with_rotary_layout(const std::shared_ptr<Model>& model, Pairs pairs);

}  // namespace formwork
