#include "formwork/heads/pool.h"

namespace formwork {
namespace {

// Rows of a stream: packed rows [1, N, D] become [S, T, D] with lengths [S] (undefined: all tokens).
std::pair<Tensor, Tensor> rows(const Context& ctx, const Tensor& x) {
  if (!ctx.layout) return {x, Tensor()};
  if (!ctx.layout->packed()) return {x, ctx.layout->lengths};
  const auto& offsets = ctx.layout->offsets;
  std::vector<Tensor> parts;
  std::vector<int64_t> lengths;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    lengths.push_back(offsets[s + 1] - offsets[s]);
    parts.push_back(x[0].narrow(0, offsets[s], lengths.back()));
  }
  return {at::pad_sequence(parts, /*batch_first=*/true), at::tensor(lengths, at::kLong).to(x.device())};
}

}  // namespace

Tensor pool(const Context& ctx, const Tensor& stream, const std::string& how) {
  const auto [x, lengths] = rows(ctx, stream);
  if (how == "first") return x.select(1, 0);
  if (how == "last") {
    if (!lengths.defined()) return x.select(1, -1);
    const auto index = (lengths - 1).clamp_min(0).view({-1, 1, 1}).expand({-1, 1, x.size(2)});
    return x.gather(1, index).squeeze(1);
  }
  if (!lengths.defined()) return x.mean(1);
  const auto keep = at::arange(x.size(1), lengths.options()).unsqueeze(0) < lengths.unsqueeze(1);
  return x.masked_fill(keep.logical_not().unsqueeze(-1), 0).sum(1) /
         lengths.clamp_min(1).unsqueeze(1).to(x.scalar_type());
}

Tensor pool_by_score(const Context& ctx, const Tensor& stream, const Tensor& scores) {
  const auto [x, lengths] = rows(ctx, stream);
  auto logits = rows(ctx, scores).first;
  if (lengths.defined()) {
    const auto keep = at::arange(x.size(1), lengths.options()).unsqueeze(0) < lengths.unsqueeze(1);
    logits = logits.masked_fill(keep.logical_not().unsqueeze(-1), -std::numeric_limits<double>::infinity());
  }
  return logits.softmax(1).transpose(1, 2).matmul(x).squeeze(1);
}

Tensor token_of_rows(const Context& ctx, const Tensor& stream, int64_t index, const std::string& path) {
  const auto [x, lengths] = rows(ctx, stream);
  const int64_t shortest = lengths.defined() ? lengths.min().item<int64_t>() : x.size(1);
  if (index >= shortest)
    fail("{}: reads token {} of each row, but the shortest has {}", path, index, shortest);
  return x.select(1, index);
}

void describe_pool(Fields& f, std::string& how) {
  f.choice("pool", how, {"mean", "first", "last"}, "which tokens stand for the row");
}

}  // namespace formwork
