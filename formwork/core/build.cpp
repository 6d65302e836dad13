#include "formwork/core/build.h"

#include "formwork/core/random.h"
#include "formwork/core/registry.h"
#include "formwork/core/sources.h"
#include "formwork/tap/attachment.h"

namespace formwork {

Inventory::Inventory() = default;
Inventory::~Inventory() = default;

Build Build::at(const std::string& suffix) const {
  Build child = *this;
  child.path_ = name(suffix);
  return child;
}

PartSpec Build::resolve(const PartSpec& spec) const {
  const Json* entry = lookup(inventory_->spec.parts, path_);
  return entry ? PartSpec::from_json(*entry, "parts." + path_) : spec;
}

Axis Build::axis(const std::string& suffix, int64_t size, Group group) const {
  return global_axis(name(suffix), size, group);
}

Axis Build::global_axis(const std::string& full, int64_t size, Group group) const {
  const int64_t asked = size;
  if (const auto it = inventory_->spec.axes.find(full); it != inventory_->spec.axes.end())
    size = it->get<int64_t>();
  auto [entry, fresh] = inventory_->axes.try_emplace(full, AxisInfo{size, group});
  if (!fresh && entry->second.size != size)
    fail("axis '{}' has size {} in one place and {} in another ({})", full, entry->second.size, size, path_);
  return {full, size, asked};
}

Axis Build::stream(const std::string& full, int64_t size) const {
  inventory_->streams.insert(full);
  return global_axis(full, size);
}

void Build::restrict(const Axis& axis, Group group, const std::string& reason) const {
  if (axis.name.empty()) return;
  auto& info = inventory_->axes.at(axis.name);
  if (group >= info.group) return;
  info.group = group;
  info.reason = fmt::format("{}: {}", path_, reason);
}

void Build::restrict_to_pairs(const Axis& axis, Pairs pairs, int64_t turned,
                              const std::string& reason) const {
  auto& info = inventory_->axes.at(axis.name);
  if (info.group == Group::rotary_pairs && info.pairs != pairs)
    return restrict(axis, Group::none, "pairs it otherwise than " + info.reason);
  restrict(axis, Group::rotary_pairs, reason);
  info.pairs = pairs, info.turned = turned;
  if (turned < axis.size) restrict(axis, Group::none, "only the first channels of a head turn");
}

namespace {

Param* find_shared(Inventory& inventory, const std::string& full, const std::vector<Dim>& dims) {
  const std::string target = shared_with(inventory.spec, full);
  if (target.empty() || target == full) return nullptr;
  const auto found = inventory.by_name.find(target);
  if (found == inventory.by_name.end())
    fail("'{}' shares with '{}', which was not built before it", full, target);
  Param* param = found->second;
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims.size() != param->dims.size() || dims[i].size() != param->dims[i].size())
      fail("'{}' cannot share with '{}': their shapes differ", full, target);
  inventory.ties.emplace_back(full, target);
  return param;
}

}  // namespace

Param* Build::param(const std::string& suffix, std::vector<Dim> dims, Rule rule) const {
  auto& inventory = *inventory_;
  const std::string full = name(suffix);
  if (inventory.by_name.count(full)) fail("parameter '{}' is declared twice", full);
  if (Param* shared = find_shared(inventory, full, dims)) return inventory.by_name[full] = shared;

  auto& param = inventory.params.emplace_back();
  param.name = full;
  param.dims = std::move(dims);
  param.rule = std::move(rule);
  param.rule.frozen |= is_frozen(inventory.spec, full);
  if (const auto init = init_of(inventory.spec, full); !init.empty()) param.rule.init = init::by_name(init);
  std::vector<int64_t> shape;
  for (const auto& dim : param.dims) shape.push_back(dim.stored());
  // Exactness tests build in double, and there nothing stays behind.
  const bool castable =
      param.rule.dtype == at::kFloat && (!param.rule.keep_dtype || inventory.dtype == at::kDouble);
  const auto options = at::TensorOptions(castable ? inventory.dtype : param.rule.dtype)
                           .device(inventory.allocate ? at::kCPU : at::kMeta);
  param.value = at::zeros(shape, options);
  if (inventory.allocate) param.rule.init.fill(param.value, make_stream(inventory.seed, full));
  if (!param.rule.frozen && param.value.is_floating_point()) param.value.set_requires_grad(true);
  return inventory.by_name[full] = &param;
}

Slot Build::tap(const std::string& suffix, const Axis& axis) const {
  inventory_->tap_axes.push_back(axis);
  return inventory_->taps.add(name(suffix));
}

void Build::register_part(Part& part) const { inventory_->parts[path_] = &part; }

void Build::reads_input_directly() const {
  if (input >= 0) inventory_->raw_reads.emplace_back(input, path_);
}

}  // namespace formwork
