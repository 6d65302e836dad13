// LibTorch's tensors in safetensors files: memory-mapped reading without a copy, deterministic atomic
// writing.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "formwork/core/file.h"
#include "formwork/core/raw.h"

namespace formwork {

using TensorMap = std::map<std::string, at::Tensor>;

// The same tensors as LibTorch's, views where they are in one piece.
TensorMap tensors_of(const RawMap& tensors);

// Every tensor as a view, from a .safetensors file, an .index.json of shards, or a folder that holds either
// (SafetensorsShards). In-place changes stay in this process.
TensorMap read_safetensors(const std::filesystem::path& path);

// Equal tensors and metadata give equal bytes, the same that the Python package writes. Tensors may be
// strided and on any device; sparse, quantized, meta and undefined ones are Errors. The file appears whole or
// not at all.
void write_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The element type's name in the format; an Error when it has none.
std::string safetensors_dtype_name(at::ScalarType dtype);

}  // namespace formwork
