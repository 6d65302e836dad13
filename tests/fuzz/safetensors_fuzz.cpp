// Any bytes either parse as a safetensors file or are one Error.
#include "formwork/core/error.h"
#include "formwork/interop/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    const auto header = formwork::parse_safetensors_header(file, "input");
    for (const auto& item : header.entries) {
      if (header.data_start + item.second.end > size) __builtin_trap();
    }
  } catch (const formwork::Error&) {
    // The expected answer to malformed bytes.
  }
  return 0;
}
