#include "formwork/interop/safetensors.h"

#include <ATen/ATen.h>

#include "formwork/core/error.h"
#include "formwork/interop/safetensors_shards.h"

namespace formwork {
namespace {

struct DtypePair {
  const char* name;
  at::ScalarType type;
};

constexpr DtypePair kDtypes[] = {
    {"BOOL", at::kBool},
    {"U8", at::kByte},
    {"I8", at::kChar},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E8M0", at::kFloat8_e8m0fnu},
    {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    {"I16", at::kShort},
    {"U16", at::kUInt16},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I32", at::kInt},
    {"U32", at::kUInt32},
    {"F32", at::kFloat},
    {"C64", at::kComplexFloat},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"U64", at::kUInt64},
};

at::ScalarType scalar_type(const std::string& name) {
  for (const auto& pair : kDtypes) {
    if (name == pair.name) return pair.type;
  }
  fail("dtype {} has no tensor type", name);
}

// Dense values of `tensor` in CPU memory, in row-major order.
at::Tensor plain(const at::Tensor& tensor) {
  return tensor.detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous();
}

void check_writable(const at::Tensor& tensor, const std::string& where) {
  if (!tensor.defined()) fail("{}: undefined, nothing to write", where);
  if (tensor.layout() != at::kStrided || tensor.is_quantized()) {
    fail("{}: only dense tensors can be written; convert it with to_dense() or dequantize()", where);
  }
  if (tensor.is_meta()) fail("{}: on the meta device, it has no values to write", where);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path.string()),
      file_(std::make_shared<const MappedFile>(path)),
      header_(parse_safetensors_header(file_->bytes(), path_)) {}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& item : header_.entries) names.push_back(item.first);
  return names;
}

const SafetensorsEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = header_.entries.find(name);
  if (found != header_.entries.end()) return found->second;
  const std::string near = nearest(name, names());
  if (near.empty()) fail("{}: no tensor '{}' among its {}", path_, name, header_.entries.size());
  fail("{}: no tensor '{}'; did you mean '{}'?", path_, name, near);
}

at::ScalarType SafetensorsFile::dtype(const std::string& name) const {
  return scalar_type(entry(name).dtype);
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto& found = entry(name);
  const auto options = at::TensorOptions().dtype(scalar_type(found.dtype));
  if (found.begin == found.end) return at::empty(found.shape, options);
  std::byte* data = file_->data() + header_.data_start + found.begin;
  if (reinterpret_cast<uintptr_t>(data) % options.dtype().itemsize() != 0) {
    auto copied = at::empty(found.shape, options);
    std::memcpy(copied.data_ptr(), data, found.end - found.begin);
    return copied;
  }
  return at::from_blob(
      data, found.shape, [file = file_](void*) {}, options);
}

TensorMap read_safetensors(const std::filesystem::path& path) {
  const SafetensorsShards shards(path);
  TensorMap tensors;
  for (const auto& name : shards.names()) tensors.emplace(name, shards.tensor(name));
  return tensors;
}

void write_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsSlot> slots;
  for (const auto& [name, tensor] : tensors) {
    check_writable(tensor, fmt::format("{}: tensor '{}'", path.string(), escaped(name)));
    slots.push_back({name, {safetensors_dtype_name(tensor.scalar_type()), tensor.sizes().vec()}});
  }
  const std::string header = format_safetensors_header(slots, metadata, path.string());
  write_atomically(path, [&](OutputFile& file) {
    file.write(header);
    for (const auto& slot : slots) {
      const auto values = plain(tensors.at(slot.name));
      file.write(values.const_data_ptr(), values.nbytes());
    }
  });
}

std::string safetensors_dtype_name(at::ScalarType dtype) {
  for (const auto& pair : kDtypes) {
    if (dtype == pair.type) return pair.name;
  }
  fail("safetensors has no dtype for {} tensors", c10::toString(dtype));
}

}  // namespace formwork
