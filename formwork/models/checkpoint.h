// Activation checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016): a segment
// keeps its input alone, and the backward pass runs it again. Draws depend on seed, name and counter, so the
// second run is the first one bit for bit.
#pragma once
#include <string>

#include "formwork/core/part.h"

namespace formwork {

// layer.forward(ctx, x) for a segment of this name, without its activations where ctx.mode.checkpoint asks
// for that; gradients, also those of the segment's auxiliary losses, are the same. Segments that something
// listens to, and passes whose gradients have gradients, keep their activations. The model must live until
// the backward pass.
Tensor forward_segment(Context& ctx, Layer& layer, const std::string& name, const Tensor& x);

}  // namespace formwork
