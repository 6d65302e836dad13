#include "formwork/kernels/cpu/ggml_block.h"

#include <algorithm>

#include "formwork/kernels/cpu/ggml_rows.h"
#include "formwork/kernels/cpu/half.h"
#include "formwork/kernels/cpu/parallel.h"

namespace formwork {

const std::vector<GgmlLayout>& ggml_layouts() {
  static const std::vector<GgmlLayout> all = {
      {GgmlType::f16, "f16", 1, 2},       {GgmlType::bf16, "bf16", 1, 2},
      {GgmlType::q8_0, "q8_0", 32, 34},   {GgmlType::q4_0, "q4_0", 32, 18},
      {GgmlType::q4_1, "q4_1", 32, 20},   {GgmlType::q4_k, "q4_k", 256, 144},
      {GgmlType::q5_k, "q5_k", 256, 176}, {GgmlType::q6_k, "q6_k", 256, 210}};
  return all;
}

const GgmlLayout& ggml_layout(GgmlType type) { return ggml_layouts()[static_cast<std::size_t>(type)]; }

const GgmlLayout* find_ggml_layout(std::string_view name) {
  for (const auto& layout : ggml_layouts())
    if (name == layout.name) return &layout;
  return nullptr;
}

std::int64_t GgmlMatrix::row_blocks() const {
  const std::int64_t values = ggml_layout(type).values;
  return (inputs + values - 1) / values;
}

std::int64_t GgmlMatrix::row_bytes() const { return row_blocks() * ggml_layout(type).bytes; }

namespace {

void decode_halves(const GgmlMatrix& w, const std::uint8_t* row, float* values) {
  const auto to_float = w.type == GgmlType::f16 ? half_to_float : bfloat16_to_float;
  for (std::int64_t i = 0; i < w.inputs; ++i)
    values[i] = to_float(static_cast<std::uint16_t>(row[2 * i] | row[2 * i + 1] << 8));
}

void decode_blocks(const GgmlMatrix& w, const std::uint8_t* row, float* values) {
  GgmlCodes codes;
  for (std::int64_t g = 0; g < ggml_groups(w.inputs); ++g) {
    ggml_unpack(w.type, row, w.inputs, g, codes);
    const std::int64_t count = std::min<std::int64_t>(128, w.inputs - g * 128);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t block = i / 32, half = i / 16 % 2;
      const float scale = codes.scale[block] * static_cast<float>(codes.factor[half][block]);
      values[g * 128 + i] = scale * static_cast<float>(codes.codes[half][block][i % 16]) + codes.min[block];
    }
  }
}

}  // namespace

void ggml_decode(const GgmlMatrix& w, std::int64_t first, std::int64_t count, float* values) {
  const std::int64_t bytes = w.row_bytes();
  const auto decode = ggml_layout(w.type).values == 1 ? decode_halves : decode_blocks;
  const std::int64_t grain = 1 + 16384 / (w.inputs + 1);
  parallel_for(0, count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      decode(w, w.blocks + (first + i) * bytes, values + i * w.inputs);
  });
}

}  // namespace formwork
