// What reaches a tap, without padding.
#pragma once
#include "formwork/core/context.h"

namespace formwork {

// x [B, T, D] (or [N, D]) at a tap, without padding tokens -> [N, D].
Tensor real_tokens(const Context& ctx, const Tensor& x);

}  // namespace formwork
