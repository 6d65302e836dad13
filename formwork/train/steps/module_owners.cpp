#include "formwork/train/steps/module_owners.h"

#include "formwork/kernels/cpu/optimizer.h"
#include "formwork/models/graph_leaves.h"

namespace formwork {
namespace {

double squares_of_piece(const FlatGroup& group, const FlatGroup::Piece& piece) {
  const int64_t count = piece.param->value.numel();
  if (group.value.scalar_type() == at::kDouble)
    return sum_of_squares(count, group.gradient.const_data_ptr<double>() + piece.offset);
  return sum_of_squares(count, group.gradient.const_data_ptr<float>() + piece.offset);
}

}  // namespace

std::string ModuleOwners::name_of(const Tensor& parameter) const {
  for (const auto* inventory : inventories_)
    for (const auto& param : inventory->params)
      if (param.value.is_same(parameter)) return param.name;
  return "?";
}

void ModuleOwners::claim(const Tensor& loss, size_t k) {
  if (!loss.requires_grad())
    fail("step rule 'local': module {} ({}) has a loss, but nothing in it is trained", k + 1,
         modules_[k].name);
  const auto leaves = graph_leaves({loss});
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& leaf : leaves) {
    const auto [owner, fresh] = owners_.try_emplace(leaf.unsafeGetTensorImpl(), k);
    if (owner->second == k) continue;
    fail(
        "step rule 'local': parameter '{}' is shared by modules {} ({}) and {} ({}); cut elsewhere, or untie "
        "it",
        name_of(leaf), owner->second + 1, modules_[owner->second].name, k + 1, modules_[k].name);
  }
}

double ModuleOwners::clip(FlatParameters& parameters, double most) const {
  const auto each_piece = [&](const auto& visit) {
    for (auto& group : parameters.groups())
      for (const auto& piece : group.pieces)
        if (const auto owner = owners_.find(piece.param->value.unsafeGetTensorImpl()); owner != owners_.end())
          visit(group, piece, owner->second);
  };
  std::vector<double> squares(modules_.size(), 0);
  each_piece([&](const FlatGroup& group, const FlatGroup::Piece& piece, size_t k) {
    squares[k] += squares_of_piece(group, piece);
  });
  double all = 0;
  for (const double square : squares) all += square;
  if (most > 0)
    each_piece([&](const FlatGroup& group, const FlatGroup::Piece& piece, size_t k) {
      const double norm = std::sqrt(squares[k]);
      if (norm > most) group.view(group.gradient, piece).mul_(most / norm);
    });
  return std::sqrt(all);
}

}  // namespace formwork
