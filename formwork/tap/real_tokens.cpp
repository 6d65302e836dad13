#include "formwork/tap/real_tokens.h"

namespace formwork {

Tensor real_tokens(const Context& ctx, const Tensor& x) {
  const auto flat = x.reshape({-1, x.size(-1)});
  if (!ctx.layout || x.dim() < 3) return flat;
  const auto keep = ctx.layout->keep(x.size(1));
  return keep.defined() ? flat.index({keep.reshape(-1)}) : flat;
}

}  // namespace formwork
