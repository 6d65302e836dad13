#include "formwork/train/weight_average.h"

#include "formwork/core/error.h"

namespace formwork {

WeightAverage::WeightAverage(FlatParameters& parameters, double decay)
    : parameters_(parameters), decay_(decay) {
  for (const auto& group : parameters.groups()) averages_.push_back(group.value.clone());
}

void WeightAverage::update(int64_t step) {
  const double early = static_cast<double>(1 + step) / static_cast<double>(10 + step);
  for (size_t g = 0; g < averages_.size(); ++g)
    averages_[g].lerp_(parameters_.groups()[g].value, 1 - std::min(decay_, early));
}

void WeightAverage::swap() {
  for (size_t g = 0; g < averages_.size(); ++g) {
    auto& value = parameters_.groups()[g].value;
    const auto kept = value.clone();
    value.copy_(averages_[g]);
    averages_[g].copy_(kept);
  }
  parameters_.mark_written();
}

TensorMap WeightAverage::state() const {
  TensorMap state;
  for (size_t g = 0; g < averages_.size(); ++g)
    for (const auto& piece : parameters_.groups()[g].pieces)
      state[piece.param->name] = parameters_.groups()[g].view(averages_[g], piece);
  return state;
}

void WeightAverage::load_state(const TensorMap& state, const std::string& where) {
  for (const auto& [name, view] : this->state()) {
    const auto found = state.find(name);
    if (found == state.end()) fail("{}: the average of '{}' is missing", where, name);
    const Tensor target = view;
    target.copy_(found->second);
  }
}

}  // namespace formwork
