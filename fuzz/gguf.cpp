// Any bytes as a GGUF file: refused, or every tensor and every value lies inside the file.
#include "formwork/interop/gguf_header.h"
#include "fuzz/fuzz.h"

namespace formwork {
namespace {

void walk(const GgufValue& value, std::string_view file) {
  if (const auto* text = std::get_if<std::string_view>(&value))
    require(text->empty() || (text->data() >= file.data() && text->data() + text->size() <= file.data() + file.size()));
  if (const auto* array = std::get_if<GgufArray>(&value))
    for (const auto& inner : array->values()) walk(inner, file);
}

}  // namespace

void fuzz(std::string_view file) {
  const auto header = parse_gguf_header(file, "file");
  for (const auto& [key, value] : header.metadata) walk(value, file);
  for (const auto& [name, tensor] : header.tensors)
    require(header.data_start + tensor.offset + tensor.bytes <= file.size());
}

}  // namespace formwork
