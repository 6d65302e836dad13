#include "formwork/channels/routes.h"

namespace formwork {

Routes::Routes(const Tensor& modules, int64_t count, int64_t limit)
    : tokens_(modules.size(0)), active_(modules.size(1)) {
  const auto flat = modules.t().flatten();
  pairs_ = flat.argsort(/*stable=*/true, 0, /*descending=*/false);
  const auto sizes = flat.bincount({}, count).cpu();
  counts_.assign(sizes.data_ptr<int64_t>(), sizes.data_ptr<int64_t>() + count);
  if (limit < 0) return;
  std::vector<Tensor> kept;
  int64_t start = 0;
  for (auto& size : counts_) {
    kept.push_back(pairs_.narrow(0, start, std::min(size, limit)));
    start += size;
    size = kept.back().size(0);
  }
  pairs_ = at::cat(kept);
}

Tensor Routes::gather(const Tensor& x) const {
  return x.dim() == 2 ? x.index_select(0, pairs_.remainder(tokens_))
                      : x.transpose(0, 1).flatten(0, 1).index_select(0, pairs_);
}

Tensor Routes::scatter(const Tensor& rows) const {
  const auto places = at::empty_like(pairs_).scatter_(0, pairs_, at::arange(size(), pairs_.options()));
  return rows.index_select(0, places).unflatten(0, {active_, tokens_}).transpose(0, 1);
}

Tensor Routes::combine(const Tensor& rows, const Tensor& gates) const {
  const auto weights = gates.t().flatten().index_select(0, pairs_).to(rows.scalar_type());
  const auto zero = at::zeros({tokens_, rows.size(1)}, rows.options().requires_grad(false));
  return zero.index_add(0, pairs_.remainder(tokens_), rows * weights.unsqueeze(1));
}

}  // namespace formwork
