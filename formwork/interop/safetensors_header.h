// The safetensors header: [u64 little-endian length][JSON][data]. Pure bytes to entries and back; no
// LibTorch. Format: https://github.com/huggingface/safetensors (format description, 2022).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/core/raw.h"

namespace formwork {

struct SafetensorsDtype {
  const char* name;
  Dtype dtype;
};

// The known element types in the format's own order: narrow before wide.
const std::vector<SafetensorsDtype>& safetensors_dtypes();

struct SafetensorsEntry {
  std::string dtype;  // a name in safetensors_dtypes()
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes from the start of the data
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  // bytes from the start of the file
};

// Reads and fully checks the header of a whole file's bytes. Names are unique; sizes follow from dtype and
// shape; the data ranges tile [0, data size) without hole or overlap. Any violation is one Error naming
// `path`.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& path);

// The entry of a tensor to be written; format_safetensors_header fills its range.
struct SafetensorsSlot {
  std::string name;
  SafetensorsEntry entry;
};

// Orders the slots widest dtype first, then by name, so that each tensor is aligned to its element size
// without holes; fills their ranges; returns length word + JSON padded with spaces to 8 bytes. Equal input,
// equal bytes.
std::string format_safetensors_header(std::vector<SafetensorsSlot>& slots,
                                      const std::map<std::string, std::string>& metadata,
                                      const std::string& path);

}  // namespace formwork
