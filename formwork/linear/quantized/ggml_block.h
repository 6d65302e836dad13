// A matrix in the blocks of a ggml format, as a map stores it and a GGUF file holds it.
#pragma once
#include <string>

#include "formwork/core/tensor.h"
#include "formwork/kernels/cpu/ggml_block.h"
#include "formwork/linear/linear_map.h"

namespace formwork {

// The format of this name; an Error names the known ones and `where`.
const GgmlLayout& require_ggml_layout(const std::string& name, const std::string& where);

// The format of a map that keeps its matrix so, in its parameter "<path>.blocks"; null: another map.
const GgmlLayout* ggml_format(const LinearMap& map);

// W [out, in] to blocks [out, blocks, bytes] uint8, the last block of a row filled up with zeros; refuses
// values that are not finite.
Tensor ggml_blocks(GgmlType type, const Tensor& weight);
// Blocks to values [out, in] float32.
Tensor ggml_values(GgmlType type, const Tensor& blocks, int64_t in);

}  // namespace formwork
