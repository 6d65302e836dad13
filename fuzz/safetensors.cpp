// Any bytes as a safetensors file: refused with an Error, or every tensor lies inside the file.
#include "formwork/interop/safetensors_header.h"
#include "fuzz/fuzz.h"

namespace formwork {

void fuzz(std::string_view file) {
  const auto header = parse_safetensors_header(file, "file");
  const uint64_t size = file.size() - header.data_start;
  for (const auto& [name, entry] : header.entries) require(entry.begin <= entry.end && entry.end <= size);
}

}  // namespace formwork
