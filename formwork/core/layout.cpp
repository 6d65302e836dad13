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

Layout Layout::with_drafts(int64_t tokens, int64_t count) const {
  const int64_t each = anchors.size(1), before = tokens - each * drafts;
  auto parents = tree ? tree->parents() : TokenTree::row(tokens, anchors.device());
  const int64_t rows = std::max(parents.size(0), anchors.size(0));
  std::vector<Tensor> all = {parents.expand({rows, -1})}, places;
  for (int64_t i = drafts; i < drafts + count; ++i) {
    const int64_t last = before + (i - 1) * each;  // where draft i begins, counted from 1
    const auto follows = i == 0 ? anchors : at::arange(last, last + each, anchors.options()).unsqueeze(0);
    all.push_back(follows.expand({rows, each}));
  }
  Layout layout = *this;
  layout.tree = std::make_shared<TokenTree>(at::cat(all, 1));
  layout.lengths = Tensor();
  layout.drafts += count;
  if (!positions.defined()) return layout;
  const int64_t lines = std::max(positions.size(0), anchors.size(0));
  const auto of_anchors = positions.expand({lines, -1}).gather(1, anchors.expand({lines, each}));
  places.push_back(positions.expand({lines, -1}));
  for (int64_t i = drafts + 1; i <= drafts + count; ++i) places.push_back(of_anchors + i);
  layout.positions = at::cat(places, 1);
  return layout;
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
