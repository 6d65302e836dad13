#include "formwork/train/trained_slices.h"

#include "formwork/models/model.h"

namespace formwork {
namespace {

using Firsts = std::map<std::string, int64_t>;  // axis -> first entry to train

Firsts resolve(const Model& model, const Json& first) {
  if (!first.is_object()) fail("train_from: expected {{axis: first entry}}, found {}", first.dump());
  Firsts firsts;
  std::vector<std::string> names;
  for (const auto& [axis, info] : model.inventory().axes) names.push_back(axis);
  for (const auto& [pattern, from] : first.items()) {
    if (!from.is_number_integer() || from.get<int64_t>() < 0)
      fail("train_from: expected the first entry of '{}' to train, found {}", pattern, from.dump());
    const size_t before = firsts.size();
    for (const auto& [axis, info] : model.inventory().axes) {
      if (!matches(pattern, axis)) continue;
      if (from.get<int64_t>() >= info.size)
        fail("train_from: expected an entry of axis '{}' of size {}, found {}", axis, info.size,
             from.get<int64_t>());
      firsts[axis] = from.get<int64_t>();
    }
    if (firsts.size() == before) fail_unknown("train_from: axis", pattern, names);
  }
  return firsts;
}

// Marks the entries of a parameter that are trained; false where it carries none of the axes.
bool mark(const Param& param, const Firsts& firsts, Tensor& trained) {
  bool any = false;
  for (size_t d = 0; d < param.dims.size(); ++d)
    for (const auto& [axis, first] : firsts) {
      const auto& dim = param.dims[d];
      if (!dim.carries(axis)) continue;
      if (dim.segments.size() != 1 || dim.segments[0].size() != 1 || dim.grain != 1)
        fail("train_from: '{}' carries axis '{}' as {}, expected a dimension of its own", param.name, axis,
             dim.describe());
      trained.narrow(static_cast<int64_t>(d), first, dim.size() - first).fill_(true);
      any = true;
    }
  return any;
}

}  // namespace

TrainedSlices::TrainedSlices(const Model& model, FlatParameters& parameters, const Json& first)
    : parameters_(parameters) {
  const auto firsts = resolve(model, first);
  bool any = false;
  for (const auto& group : parameters.groups()) {
    trained_.push_back(at::zeros(group.value.sizes(), at::kBool));
    kept_.push_back(group.value.detach().clone());
    for (const auto& piece : group.pieces) {
      auto view = group.view(trained_.back(), piece);
      any |= mark(*piece.param, firsts, view);
    }
  }
  if (!any) fail("train_from: no trained parameter carries {}", first.dump());
}

void TrainedSlices::clear_other_gradients() {
  for (size_t g = 0; g < trained_.size(); ++g) parameters_.groups()[g].gradient.mul_(trained_[g]);
}

void TrainedSlices::restore_others() {
  const at::NoGradGuard guard;
  for (size_t g = 0; g < trained_.size(); ++g) {
    auto& value = parameters_.groups()[g].value;
    at::where_out(value, trained_[g], value, kept_[g]);
  }
  parameters_.mark_written();
}

}  // namespace formwork
