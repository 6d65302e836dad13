// Any bytes as a GGUF file: refused, or every value and tensor lies inside the file, and blocks decode and
// multiply.
#include <vector>

#include "formwork/interop/gguf_header.h"
#include "formwork/kernels/cpu/ggml_block.h"
#include "fuzz/fuzz.h"

namespace formwork {
namespace {

void check(const GgufValue& value, std::string_view file) {
  if (const auto* text = std::get_if<std::string_view>(&value))
    require(text->empty() ||
            (text->data() >= file.data() && text->data() + text->size() <= file.data() + file.size()));
  if (const auto* array = std::get_if<GgufArray>(&value))
    for (const auto& inner : array->values()) check(inner, file);
}

void read_first_row(const GgufTensor& tensor, const uint8_t* data) {
  const auto* layout = find_ggml_layout(tensor.type->name);
  if (!layout || tensor.bytes == 0 || tensor.shape.empty()) return;
  const GgmlMatrix row{layout->type, 1, tensor.shape.back(), data};
  std::vector<float> values(static_cast<size_t>(row.inputs));
  ggml_decode(row, 0, 1, values.data());
  float y = 0;
  ggml_linear(values.data(), 1, row.inputs, row, nullptr, &y);
}

}  // namespace

void fuzz(std::string_view file) {
  const auto header = parse_gguf_header(file, "file");
  for (const auto& [key, value] : header.metadata) check(value, file);
  for (const auto& [name, tensor] : header.tensors) {
    const auto at = header.data_start + tensor.offset;
    require(at + tensor.bytes <= file.size());
    read_first_row(tensor, reinterpret_cast<const uint8_t*>(file.data()) + at);
  }
}

}  // namespace formwork
