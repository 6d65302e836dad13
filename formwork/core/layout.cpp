#include "formwork/core/layout.h"

#include "formwork/core/error.h"

namespace formwork {
namespace {

// index [B, T] expanded to the trailing dimensions of x.
Tensor gather_tokens(const Tensor& x, const Tensor& index) {
  auto shape = x.sizes().vec();
  shape[1] = index.size(1);
  auto expanded = index;
  while (expanded.dim() < x.dim()) expanded = expanded.unsqueeze(-1);
  return x.gather(1, expanded.expand(shape));
}

}  // namespace

Tensor Layout::keep(int64_t tokens) const {
  if (!lengths.defined()) return {};
  return at::arange(tokens, lengths.options()).unsqueeze(0) < lengths.unsqueeze(1);
}

Compaction::Compaction(const Tensor& mask) {
  if (mask.dim() != 2) fail("attention_mask: expected [B, T], found {} dimensions", mask.dim());
  mask_ = mask.ne(0);
  lengths_ = mask_.sum(1);
  const auto tokens = mask_.size(1);
  const auto prefix = at::arange(tokens, lengths_.options()).unsqueeze(0) < lengths_.unsqueeze(1);
  const auto longest = lengths_.numel() ? lengths_.max().item<int64_t>() : 0;
  aligned_ = longest == tokens && at::equal(prefix, mask_);
  if (aligned_) return;
  // A stable sort brings real tokens to the front in their order.
  order_ = mask_.to(at::kByte).argsort(/*stable=*/true, 1, /*descending=*/true).narrow(1, 0, longest);
  rank_ = (mask_.cumsum(1) - 1).clamp(0, std::max<int64_t>(0, longest - 1));
}

Tensor Compaction::align(const Tensor& x) const { return aligned_ ? x : gather_tokens(x, order_); }

Tensor Compaction::restore(const Tensor& x) const {
  if (aligned_) return x;
  auto keep = mask_;
  while (keep.dim() < x.dim()) keep = keep.unsqueeze(-1);
  return gather_tokens(x, rank_).masked_fill(keep.logical_not(), 0);
}

}  // namespace formwork
