#include "formwork/train/optimizers/optimizer.h"

namespace formwork {

FORMWORK_KIND(Optimizer);

Optimizer::Optimizer(const Trainee& trainee, std::vector<std::vector<std::string>> moments,
                     const std::function<int64_t(const Param&)>& method)
    : parameters_(trainee, method), names_(std::move(moments)) {
  for (const auto& group : parameters_.groups()) {
    auto& list = moments_.emplace_back();
    for (size_t i = 0; i < names_.at(static_cast<size_t>(group.method)).size(); ++i)
      list.push_back(at::zeros_like(group.value));
  }
}

void Optimizer::step(const Update& update) {
  const at::NoGradGuard guard;
  auto& groups = parameters_.groups();
  for (size_t g = 0; g < groups.size(); ++g) this->update(groups[g], moments_[g], update);
  parameters_.mark_written();
}

void Optimizer::for_each_moment(
    const std::function<void(const std::string& name, const Tensor& view)>& visit) const {
  const auto& groups = parameters_.groups();
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto& names = names_[static_cast<size_t>(groups[g].method)];
    for (const auto& piece : groups[g].pieces)
      for (size_t m = 0; m < names.size(); ++m)
        visit(piece.param->name + "/" + names[m], groups[g].view(moments_[g][m], piece));
  }
}

TensorMap Optimizer::state() const {
  TensorMap state;
  for_each_moment([&](const std::string& name, const Tensor& view) { state[name] = view; });
  return state;
}

void Optimizer::load_state(const TensorMap& state, const std::string& where) {
  size_t used = 0;
  for_each_moment([&](const std::string& name, const Tensor& view) {
    const auto found = state.find(name);
    if (found == state.end()) fail("{}: the optimizer's '{}' is missing", where, name);
    if (found->second.sizes() != view.sizes())
      fail("{}: '{}': expected shape [{}], found [{}]", where, name, fmt::join(view.sizes().vec(), ", "),
           fmt::join(found->second.sizes().vec(), ", "));
    const Tensor& target = view;
    target.copy_(found->second);
    ++used;
  });
  if (used == state.size()) return;
  auto rest = state;
  for_each_moment([&](const std::string& name, const Tensor&) { rest.erase(name); });
  fail("{}: '{}' belongs to no parameter of this optimizer", where, rest.begin()->first);
}

}  // namespace formwork
