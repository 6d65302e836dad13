#include "formwork/mixers/fast_weights/fast_memory.h"

namespace formwork {

FORMWORK_KIND(FastMemory);

FastMemory::FastMemory(const Build& build)
    : features_(build.in.size), values_(build.out.size), head_axes_(build.heads) {
  for (const auto& axis : head_axes_) heads_ *= axis.size;
}

void FastMemory::add_weight(const Build& build, const std::string& name, const Axis& rows,
                            const Axis& columns, double std, bool reads_features) {
  shapes_.push_back({rows.size, columns.size});
  readers_ += reads_features ? 1 : 0;
  Rule rule;
  rule.init = init::normal(std);
  initial_.push_back(std > 0 ? build.param(name, {Dim::product(head_axes_), rows, columns}, rule) : nullptr);
}

std::vector<Tensor> FastMemory::initial(Context& ctx, const at::TensorOptions& like) const {
  std::vector<Tensor> weights;
  for (size_t j = 0; j < shapes_.size(); ++j)
    weights.push_back(initial_[j] ? ctx.value(*initial_[j]).to(like)
                                  : at::zeros({heads_, shapes_[j].rows, shapes_[j].columns}, like));
  return weights;
}

Tensor FastMemory::skip(const Tensor& phi) const {
  const int64_t kept = std::min(features_, values_);
  const auto first = phi.narrow(-1, 0, kept);
  return kept == values_ ? first : at::constant_pad_nd(first, {0, values_ - kept});
}

void FastMemory::restrict_skip(const Build& build) const {
  for (const auto& axis : {build.in, build.out})
    build.restrict(axis, Group::none, "the skip adds features to values");
}

}  // namespace formwork
