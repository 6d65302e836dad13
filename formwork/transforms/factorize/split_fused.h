// Fused maps (query, key and value; gate and up) become stacked ones, whose segments are maps of their own.
#pragma once
#include <memory>

#include "formwork/models/model.h"

namespace formwork {

// The same function; the model itself where no dense map of a block has several segments.
std::shared_ptr<Model> split_fused_maps(const std::shared_ptr<Model>& model);

}  // namespace formwork
