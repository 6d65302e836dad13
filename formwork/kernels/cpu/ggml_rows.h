// How products with ggml blocks see both sides: in groups of 4 blocks of 32, each cut in halves of 16.
#pragma once
#include <cstdint>

#include "formwork/kernels/cpu/ggml_block.h"

namespace formwork {

// Codes of one row of W: w[half][block][i] = factor[half][block] * scale[block] * code + min[block].
struct GgmlCodes {
  std::int8_t codes[2][4][16];
  std::int32_t factor[2][4];
  float scale[4], min[4];
};

// Blocks of 32 of a row, and groups of 4 of them.
inline std::int64_t ggml_groups(std::int64_t inputs) { return (inputs + 127) / 128; }

// Group `group` of a row of quantized blocks; what lies behind its `inputs` are zeros.
void ggml_unpack(GgmlType type, const std::uint8_t* row, std::int64_t inputs, std::int64_t group,
                 GgmlCodes& to);

// A group of a row of x, with what is the same for a block repeated for each of 4 rows of W.
struct alignas(64) GgmlInputs {
  std::int8_t codes[2][4][16];
  float scale[16], sum[16];  // sum = scale * (sum of the block's codes)
  std::int32_t start[16];    // -offset * (sum of codes) in the first of each 4
};

// x [rows, I] to [rows, groups]. `offset` is what kernels add to codes of W to make them unsigned.
void ggml_inputs(const float* x, std::int64_t rows, std::int64_t stride, std::int64_t inputs, int offset,
                 GgmlInputs* to);

struct GgmlProduct {
  GgmlMatrix w;
  std::int64_t rows, groups;
  const GgmlInputs* x;
  const float* bias;
  float* y;
};

// Outputs [first, last).
using GgmlKernel = void (*)(const GgmlProduct& p, std::int64_t first, std::int64_t last);
GgmlKernel ggml_portable_kernel();
// Null where the processor lacks the instructions or the format has no such kernel.
GgmlKernel ggml_avx2_kernel(GgmlType type);
GgmlKernel ggml_vnni_kernel(GgmlType type);
// Products of floats with f16 and bf16.
void ggml_half_linear(const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                      const float* bias, float* y);

// Ways to multiply; all give the same bits where the processor has a fused multiply-add.
enum class GgmlWay { portable, avx2, vnni };
// Null where there is no such kernel here.
GgmlKernel ggml_kernel(GgmlWay way, GgmlType type);
void ggml_linear_by(GgmlWay way, const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                    const float* bias, float* y, float* work);

}  // namespace formwork
