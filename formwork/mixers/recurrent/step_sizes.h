// Step sizes of state space models: where they start, and that padding takes no step.
#pragma once
#include "formwork/core/context.h"
#include "formwork/core/init.h"

namespace formwork {

// The inverse softplus of a step size drawn log-uniformly from [low, high] and not below floor.
Init step_bias_init(double low, double high, double floor);

// delta [B, L, ..], 0 at the padding of ctx.layout: such a step passes the state on unchanged.
Tensor steps_of_real_tokens(const Context& ctx, const Tensor& delta);

}  // namespace formwork
