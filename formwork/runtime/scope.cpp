#include "formwork/runtime/scope.h"

#include "formwork/core/sources.h"

namespace formwork::runtime {

void refuse(const std::string& path, const std::string& noun, const std::string& name,
            const std::vector<std::string>& known) {
  fail("{}: {} '{}' has no runtime form; those that have: {}", path.empty() ? "model" : path, noun, name,
       fmt::join(known, ", "));
}

std::string Scope::name(const std::string& suffix) const {
  if (path_.empty()) return suffix;
  return suffix.empty() ? path_ : path_ + "." + suffix;
}

Scope Scope::at(const std::string& suffix) const {
  Scope child = *this;
  child.path_ = name(suffix);
  return child;
}

PartSpec Scope::resolve(const PartSpec& spec) const {
  const Json* entry = lookup(source_->spec.parts, path_);
  return entry ? PartSpec::from_json(*entry, "parts." + path_) : spec;
}

Axis Scope::global_axis(const std::string& full, int64_t size) const {
  const int64_t asked = size;
  const auto& table = source_->spec.axes;
  if (const auto found = table.find(full); found != table.end()) size = found->get<int64_t>();
  const auto [entry, fresh] = source_->axes.try_emplace(full, size);
  if (!fresh && entry->second != size)
    fail("axis '{}' has size {} in one place and {} in another ({})", full, entry->second, size, path_);
  return {full, size, asked};
}

const Raw& Scope::tensor(const std::string& suffix, const std::vector<int64_t>& shape) const {
  const std::string full = name(suffix);
  std::string owner = full;
  // A name may share with one that shares with another; no more often than there are names.
  for (size_t i = 0; i < source_->spec.sources.size(); ++i) {
    const std::string next = shared_with(source_->spec, owner);
    if (next.empty() || next == owner) break;
    owner = next;
  }
  const auto found = source_->tensors.find(owner);
  if (found == source_->tensors.end()) fail("'{}': no such tensor among the model's weights", full);
  if (found->second.shape != shape)
    fail("'{}': expected shape [{}], found [{}]", full, fmt::join(shape, ", "),
         fmt::join(found->second.shape, ", "));
  return found->second;
}

std::vector<float>& Scope::keep(std::vector<float> values) const {
  return source_->converted.emplace_back(std::move(values));
}

const float* Scope::floats(const std::string& suffix, const std::vector<int64_t>& shape) const {
  const Raw& raw = tensor(suffix, shape);
  if (raw.dtype == Dtype::float32) return static_cast<const float*>(raw.data);
  return keep(to_floats(raw, name(suffix))).data();
}

}  // namespace formwork::runtime
