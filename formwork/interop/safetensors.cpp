#include "formwork/interop/safetensors.h"

#include <ATen/ATen.h>

#include "formwork/core/error.h"
#include "formwork/interop/raw_tensor.h"
#include "formwork/interop/safetensors_shards.h"

namespace formwork {
namespace {

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

TensorMap tensors_of(const RawMap& raws) {
  TensorMap tensors;
  for (const auto& [name, raw] : raws) tensors.emplace(name, tensor_of(raw));
  return tensors;
}

TensorMap read_safetensors(const std::filesystem::path& path) {
  return tensors_of(SafetensorsShards(path).tensors());
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

std::string safetensors_dtype_name(at::ScalarType type) {
  const auto dtype = find_dtype(type);
  for (const auto& known : safetensors_dtypes())
    if (dtype == known.dtype) return known.name;
  fail("safetensors has no dtype for {} tensors", c10::toString(type));
}

}  // namespace formwork
