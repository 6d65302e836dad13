#include "formwork/runtime/scope.h"

#include "formwork/core/sources.h"
#include "formwork/interop/raw_layout.h"
#include "formwork/runtime/zeros.h"

namespace formwork::runtime {

void refuse(const std::string& path, const std::string& noun, const std::string& name,
            const std::vector<std::string>& known) {
  throw NoRuntimeForm(fmt::format("{}{} '{}' has no runtime form; those that have: {}",
                                  path.empty() ? "" : path + ": ", noun, name, fmt::join(known, ", ")));
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

// What is asked for, written down; shared ones under both names.
Raw Scope::asked(const std::string& full, Shape shape, Dtype dtype) const {
  auto& entry = (*source_->asked)[full];
  entry.dims = std::move(shape.dims);
  entry.shared = !shared_with(source_->spec, full).empty();
  Raw raw{dtype, entry.shape()};
  raw.data = source_->zeros->of(raw, full);
  return raw;
}

Raw Scope::found(const std::string& full, const Shape& shape) const {
  std::string owner = full;
  // A name may share with one that shares with another; no more often than there are names.
  for (size_t i = 0; i < source_->spec.sources.size(); ++i) {
    const std::string next = shared_with(source_->spec, owner);
    if (next.empty() || next == owner) break;
    owner = next;
  }
  const auto found = source_->tensors.find(owner);
  if (found == source_->tensors.end()) fail("'{}': no such tensor among the model's weights", full);
  std::vector<int64_t> sizes;
  for (const auto& dim : shape.dims) sizes.push_back(dim.stored());
  if (found->second.shape != sizes)
    fail("'{}': expected shape [{}], found [{}]", full, fmt::join(sizes, ", "),
         fmt::join(found->second.shape, ", "));
  return found->second;
}

Raw Scope::get(const std::string& suffix, const Shape& shape, Dtype dtype) const {
  return source_->asked ? asked(name(suffix), shape, dtype) : found(name(suffix), shape);
}

Raw Scope::tensor(const std::string& suffix, const Shape& shape) const {
  return get(suffix, shape, Dtype::float32);
}

const void* Scope::values(const std::string& suffix, const Shape& shape, Dtype dtype) const {
  const Raw raw = get(suffix, shape, dtype);
  if (raw.dtype != dtype)
    fail("'{}': expected {}, found {}", name(suffix), dtype_name(dtype), dtype_name(raw.dtype));
  return raw.pieces.empty() ? raw.data : source_->kept.joined.emplace_back(whole(raw)).data;
}

std::vector<float>& Scope::keep(std::vector<float> values) const {
  return source_->kept.converted.emplace_back(std::move(values));
}

const float* Scope::floats(const std::string& suffix, const Shape& shape) const {
  const Raw raw = tensor(suffix, shape);
  if (raw.dtype != Dtype::float32) return keep(to_floats(whole(raw), name(suffix))).data();
  return static_cast<const float*>(values(suffix, shape, Dtype::float32));
}

const float* Scope::fixed(const std::string& suffix, const Shape& shape,
                          const std::vector<float>& initial) const {
  const float* values = floats(suffix, shape);
  if (!source_->asked) return values;
  auto& entry = source_->asked->at(name(suffix));
  entry.fixed = [initial, sizes = entry.shape()] { return raw_of(initial, sizes); };
  return values;
}

}  // namespace formwork::runtime
