// Any bytes either parse as a GGUF file or are one Error; what parsed lies inside the file and decodes.
#include "formwork/core/error.h"
#include "formwork/interop/gguf_header.h"
#include "formwork/kernels/cpu/ggml_block.h"

namespace {

using namespace formwork;

void visit(const GgufValue& value) {
  if (const auto* array = std::get_if<GgufArray>(&value))
    for (const auto& inner : array->values()) visit(inner);
}

void decode_first_row(const GgufTensor& tensor, const uint8_t* data) {
  const auto* layout = find_ggml_layout(tensor.type->name);
  if (!layout || tensor.bytes == 0 || tensor.shape.empty()) return;
  std::vector<float> values(static_cast<size_t>(tensor.shape.back()));
  ggml_decode({layout->type, 1, tensor.shape.back(), data}, 0, 1, values.data());
  float y = 0;
  ggml_linear(values.data(), 1, tensor.shape.back(), {layout->type, 1, tensor.shape.back(), data}, nullptr,
              &y);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto header = parse_gguf_header({reinterpret_cast<const char*>(data), size}, "input");
    for (const auto& [key, value] : header.metadata) visit(value);
    for (const auto& [name, tensor] : header.tensors) {
      if (header.data_start + tensor.offset + tensor.bytes > size) __builtin_trap();
      decode_first_row(tensor, data + header.data_start + tensor.offset);
    }
  } catch (const Error&) {
    // The expected answer to malformed bytes.
  }
  return 0;
}
