#include "formwork/transforms/edit.h"

#include "formwork/core/random.h"
#include "formwork/linear/nested.h"

namespace formwork {
namespace {

// Applies `change` along every place where `axis` is a factor of dimension `dim`; sizes as they are now.
Tensor change_axis(const Tensor& tensor, int64_t dim, const Dim& axes, const std::string& axis,
                   const std::function<int64_t(const Axis&)>& size_of,
                   const std::function<Tensor(const Tensor&, int64_t)>& change) {
  std::vector<Tensor> parts;
  int64_t offset = 0;
  for (const auto& segment : axes.segments) {
    std::vector<int64_t> factors;
    int64_t length = 1;
    for (const auto& factor : segment) {
      factors.push_back(size_of(factor));
      length *= factors.back();
    }
    auto part = tensor.narrow(dim, offset, length).unflatten(dim, factors);
    offset += length;
    for (size_t k = 0; k < segment.size(); ++k)
      if (segment[k].name == axis) part = change(part, dim + static_cast<int64_t>(k));
    const auto last = dim + static_cast<int64_t>(segment.size()) - 1;
    parts.push_back(last > dim ? part.flatten(dim, last) : part);
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts, dim);
}

// Which groups of `axes.grain` entries `index` keeps, in its order; fails where it parts a group. A group
// that is short, at the end of the axis, stays there.
Tensor moved_groups(const std::string& axis, int64_t size, const Dim& axes, const Tensor& index) {
  const int64_t grain = axes.grain, kept = index.numel();
  const auto first = index.slice(0, 0, kept, grain).div(grain, "floor");
  const auto whole = (first.unsqueeze(1) * grain + at::arange(grain, index.options())).flatten();
  const bool own_end =
      kept % grain == 0 || (kept % grain == size % grain && first[-1].item<int64_t>() == size / grain);
  if (axes.segments.size() != 1 || axes.segments[0].size() != 1 || !own_end ||
      !whole.narrow(0, 0, kept).equal(index))
    fail("axis '{}' is stored in groups of {} and only whole groups can move", axis, grain);
  return first;
}

// Codes whose last group is no longer short lie as before, under another shape.
void regroup_codes(const Model& model, TensorMap& tensors) {
  for (const auto& param : model.inventory().params) {
    const auto found = tensors.find(param.name);
    if (found == tensors.end() || found->second.is_floating_point()) continue;
    std::vector<int64_t> shape;
    for (const auto& dim : param.dims) shape.push_back(dim.stored());
    if (c10::multiply_integers(shape) == found->second.numel()) found->second = found->second.reshape(shape);
  }
}

}  // namespace

Edit::Edit(const Model& model) : model_(&model), spec_(model.spec()), tensors_(model_tensors(model)) {
  for (const auto& [name, info] : model.inventory().axes) sizes_[name] = info.size;
}

Tensor& Edit::tensor(const std::string& name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    std::vector<std::string> names;
    for (const auto& [key, value] : tensors_) names.push_back(key);
    fail_unknown("tensor", name, names);
  }
  changed_ = true;
  return found->second;
}

int64_t Edit::axis_size(const std::string& axis) const {
  const auto found = sizes_.find(axis);
  if (found != sizes_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [key, value] : sizes_) names.push_back(key);
  fail_unknown("axis", axis, names);
}

void Edit::require(const std::string& axis, Group group, const char* operation) const {
  axis_size(axis);
  const auto& info = model_->inventory().axes.at(axis);
  if (info.group < group)
    fail("axis '{}' cannot be {}: it allows at most '{}' ({})", axis, operation, group_name(info.group),
         info.reason);
}

// Entry i of `index` and its partner must have been partners before.
void Edit::require_pairs(const std::string& axis, const Tensor& index) const {
  const auto pairs = [&](int64_t n) {  // [n / 2, 2]
    const auto all = at::arange(n, index.options());
    return model_->inventory().axes.at(axis).pairs == Pairs::halves ? all.view({2, n / 2}).t()
                                                                    : all.view({n / 2, 2});
  };
  const auto before = pairs(axis_size(axis));
  auto partners = at::empty({axis_size(axis)}, index.options());  // of each first entry; -1 for second ones
  partners.fill_(-1).index_put_({before.select(1, 0)}, before.select(1, 1));
  if (index.numel() % 2 == 0) {
    const auto now = index.index_select(0, pairs(index.numel()).flatten()).view({-1, 2});
    if (partners.index_select(0, now.select(1, 0)).equal(now.select(1, 1))) return;
  }
  fail("axis '{}' turns in pairs ({}): only whole pairs can be cut or permuted", axis,
       model_->inventory().axes.at(axis).reason);
}

void Edit::for_each_carrier(const std::string& axis, const Change& change) {
  for (const auto& param : model_->inventory().params) {
    const auto found = tensors_.find(param.name);
    if (found == tensors_.end()) continue;
    for (size_t d = 0; d < param.dims.size(); ++d)
      if (param.dims[d].carries(axis))
        found->second = change(found->second, static_cast<int64_t>(d), param.dims[d]);
  }
  changed_ = true;
}

// Entries `index` of an axis, whatever it allows.
void Edit::reorder(const std::string& axis, const Tensor& index) {
  const auto size_of = [&](const Axis& factor) {
    return factor.name.empty() ? factor.size : sizes_.at(factor.name);
  };
  for_each_carrier(axis, [&](const Tensor& tensor, int64_t dim, const Dim& axes) {
    if (axes.grain == 1)
      return change_axis(tensor, dim, axes, axis, size_of,
                         [&](const Tensor& part, int64_t d) { return part.index_select(d, index); });
    return tensor.index_select(dim, moved_groups(axis, axis_size(axis), axes, index));
  });
}

void Edit::select(const std::string& axis, const Tensor& index) {
  const int64_t size = axis_size(axis);
  const bool paired = model_->inventory().axes.at(axis).group == Group::rotary_pairs;
  if (!paired) require(axis, Group::permute, "cut or permuted");
  if (index.numel() && (index.min().item<int64_t>() < 0 || index.max().item<int64_t>() >= size))
    fail("axis '{}': an index is outside its size of {}", axis, size);
  if (paired) require_pairs(axis, index);
  reorder(axis, index);
  sizes_[axis] = index.numel();
  spec_.axes[axis] = index.numel();
}

void Edit::arrange_pairs(Pairs pairs) {
  for (const auto& [axis, info] : model_->inventory().axes) {
    if (info.turned == 0 || info.pairs == pairs) continue;
    if (sizes_.at(axis) != info.size) fail("axis '{}' was cut: finish that first", axis);
    auto index = at::arange(info.size, at::kLong);
    const auto turned = index.narrow(0, 0, info.turned).clone();
    index.narrow(0, 0, info.turned)
        .copy_((pairs == Pairs::halves ? turned.view({-1, 2}) : turned.view({2, -1})).t().flatten());
    reorder(axis, index);
  }
}

void Edit::grow(const std::string& axis, int64_t count, uint64_t seed) {
  require(axis, Group::permute, "grown");
  const int64_t before = axis_size(axis);
  for (const auto& param : model_->inventory().params) {
    const auto found = tensors_.find(param.name);
    if (found == tensors_.end()) continue;
    auto& tensor = found->second;
    for (size_t d = 0; d < param.dims.size(); ++d) {
      const auto& dim = param.dims[d];
      if (!dim.carries(axis)) continue;
      if (dim.segments.size() != 1 || dim.segments[0].size() != 1 || !tensor.is_floating_point())
        fail("axis '{}' cannot be grown: '{}' carries it as {}, expected a dimension of its own", axis,
             param.name, dim.describe());
      const auto at = static_cast<int64_t>(d);
      auto shape = tensor.sizes().vec();
      shape[d] = before + count;
      auto whole = at::zeros(shape, tensor.options());
      param.rule.init.fill(whole, make_stream(seed, param.name, static_cast<uint64_t>(before)));
      tensor = at::cat({tensor, whole.narrow(at, before, count)}, at);
    }
  }
  sizes_[axis] = before + count;
  spec_.axes[axis] = before + count;
  changed_ = true;
}

void Edit::train_only(const std::vector<std::string>& names) {
  thaw();
  const auto entry = [](bool frozen) { return Json{{"type", "stored"}, {"frozen", frozen}}; };
  spec_.sources["*"] = entry(true);
  for (const auto& name : names) spec_.sources[name] = entry(false);
  changed_ = true;
}

bool Edit::thaw() {
  Json kept = Json::object();
  for (const auto& [pattern, source] : spec_.sources.items())
    if (source.at("type") != "stored") kept[pattern] = source;
  const bool any = kept.size() != spec_.sources.size();
  changed_ |= any;
  spec_.sources = kept;
  return any;
}

void Edit::add(const std::string& name, const Tensor& tensor) {
  tensors_[name] = tensor.detach().contiguous();
  changed_ = true;
}

void Edit::rotate(const std::string& axis, const Tensor& basis) {
  require(axis, Group::orthogonal, "rotated");
  const int64_t size = axis_size(axis);
  if (basis.dim() != 2 || basis.size(0) != size)
    fail("axis '{}' of size {} cannot be rotated by a basis of {} rows", axis, size, basis.size(0));
  const auto size_of = [&](const Axis& factor) {
    return factor.name.empty() ? factor.size : sizes_.at(factor.name);
  };
  for_each_carrier(axis, [&](const Tensor& tensor, int64_t dim, const Dim& axes) {
    if (!tensor.is_floating_point())
      fail("axis '{}' is carried by integer codes: dequantize before rotating", axis);
    const auto dtype = tensor.scalar_type();
    return change_axis(tensor.to(at::kDouble), dim, axes, axis, size_of,
                       [&](const Tensor& part, int64_t d) {
                         return part.movedim(d, -1).matmul(basis.to(at::kDouble)).movedim(-1, d);
                       })
        .to(dtype);
  });
  sizes_[axis] = basis.size(1);
  if (basis.size(1) != size) spec_.axes[axis] = basis.size(1);
}

void Edit::replace(const LinearMap& map, const PartSpec& representation, const TensorMap& tensors) {
  // A head or stem that reads the map itself reads whatever takes its place; a parameter of another map does
  // not.
  for (const auto& [copy, original] : model_->inventory().ties)
    if (original.rfind(map.path() + ".", 0) == 0 && model_->inventory().by_name.count(copy))
      fail("map '{}' is shared with '{}': untie it first", map.path(), copy);
  for (const Param* param : map.params())
    if (param != map.bias() || tensors.count("bias")) tensors_.erase(param->name);
  // Maps inside it go with it, however they were replaced before.
  const auto& maps = model_->inventory().maps;
  for (const auto* inner : maps)
    if (inner != &map && inner->path().rfind(map.path() + ".", 0) == 0 && enclosing(maps, *inner)) {
      std::erase_if(tensors_,
                    [&](const auto& entry) { return entry.first.rfind(inner->path() + ".", 0) == 0; });
      spec_.linear.erase(inner->path());
    }
  for (const auto& [name, tensor] : tensors) tensors_[map.path() + "." + name] = tensor.detach().contiguous();
  Json entry = representation.to_json();
  const bool had_bias = map.bias() != nullptr;
  if (tensors.count("bias") && !had_bias) {
    entry = Json{{"type", representation.type}, {"bias", true}};
    entry.update(representation.options);
  } else if (const Json* before = lookup(spec_.linear, map.path());
             before && before->is_object() && before->contains("bias")) {
    entry = Json{{"type", representation.type}, {"bias", (*before)["bias"]}};
    entry.update(representation.options);
  }
  spec_.linear[map.path()] = entry;
  changed_ = true;
}

void Edit::drop(const std::string& path) {
  if (!model_->inventory().parts.count(path)) {
    std::vector<std::string> names;
    for (const auto& [name, part] : model_->inventory().parts) names.push_back(name);
    fail_unknown("part", path, names);
  }
  spec_.parts[path] = nullptr;
  const auto below = [&](const std::string& name) { return name.rfind(path + ".", 0) == 0; };
  std::erase_if(tensors_, [&](const auto& entry) { return below(entry.first); });
  const auto prune = [&](Json& table) {
    Json kept = Json::object();
    for (const auto& [key, value] : table.items())
      if (!below(key)) kept[key] = value;
    table = kept;
  };
  prune(spec_.linear);
  prune(spec_.axes);
  prune(spec_.attach);
  changed_ = true;
}

void Edit::add_shortcut(const std::string& step, int64_t width) {
  const std::string map = step + ".shortcut";
  if (spec_.linear.contains(map)) fail("step '{}' has a shortcut map already", step);
  spec_.linear[map] = "dense";
  spec_.axes[step + ".stream"] = width;
  const auto floating = std::find_if(tensors_.begin(), tensors_.end(),
                                     [](const auto& entry) { return entry.second.is_floating_point(); });
  tensors_[map + ".weight"] = at::eye(width, floating->second.options());
  changed_ = true;
}

// Gives the map at `to` the representation and the tensors of the one at `from`.
void Edit::copy_map(const std::string& from, const std::string& to) {
  const auto& maps = model_->inventory().maps;
  const auto map =
      std::find_if(maps.begin(), maps.end(), [&](const auto* map) { return map->path() == from; });
  for (const Param* param : (*map)->params())
    tensors_[to + param->name.substr(from.size())] = tensors_.at(param->name).clone();
  if (const Json* entry = lookup(spec_.linear, from)) spec_.linear[to] = Json(*entry);
}

void Edit::untie() {
  const auto& ties = model_->inventory().ties;
  for (const auto& [copy, original] : ties) {
    if (spec_.model.options.contains("tie") || copy.rfind("head", 0) == 0) spec_.model.options["tie"] = false;
    if (model_->inventory().by_name.count(copy))
      tensors_[copy] = tensors_.at(original).clone();
    else
      copy_map(original.substr(0, original.rfind('.')), copy.substr(0, copy.rfind('.')));
    changed_ = true;
  }
}

void Edit::record(const std::string& transform, const Json& options) {
  spec_.history.push_back({{"transform", transform}, {"options", options}});
}

std::shared_ptr<Model> Edit::finish() {
  if (!changed_) throw NothingChanged("the transform changed nothing");
  auto model = build_model(spec_, model_->inventory().seed, at::kFloat, /*allocate=*/false);
  regroup_codes(*model, tensors_);
  load_tensors(*model, tensors_, "after surgery");
  return model;
}

}  // namespace formwork
