// Weights in the block formats of ggml, as GGUF files hold them, decoded, encoded, and multiplied as they are
// stored. A row of W is a run of blocks; d, m are halves:
//
//   q8_0   32 values  [d, 32 x int8]                               w = d q
//   q4_0   32 values  [d, 16 bytes of two codes]                   w = d (q - 8)
//   q4_1   32 values  [d, m, 16 bytes of two codes]                w = d q + m
//   q4_k  256 values  [d, m, 8 scales and 8 minima of 6 bits, 128 bytes of two codes]   w = d s q - m n
//   q5_k  256 values  [as q4_k, 32 bytes of fifth bits before the codes]                w = d s q - m n
//   q6_k  256 values  [128 bytes of low halves, 64 of high bits, 16 x int8 s, d]        w = d s (q - 32)
//   f16, bf16         single values
//
//   y[n, o] = sum_i x[n, i] W[o, i] + bias[o]
//
// For the quantized formats x is rounded to 8-bit codes in blocks of 32 with a scale and a sum each, products
// of codes are exact integers, and each block of 32 is scaled once. No y[n, o] depends on how many rows there
// are. A row of x with a value that is not finite gives NaN. A row of W whose inputs do not fill the last
// block has zeros in it.
// Source: the formats of ggml and GGUF (Gerganov et al., 2023).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

enum class GgmlType : std::uint8_t { f16, bf16, q8_0, q4_0, q4_1, q4_k, q5_k, q6_k };

struct GgmlLayout {
  GgmlType type;
  const char* name;
  std::int64_t values, bytes;  // of a block
};

const std::vector<GgmlLayout>& ggml_layouts();
const GgmlLayout& ggml_layout(GgmlType type);
// Null where no format has this name.
const GgmlLayout* find_ggml_layout(std::string_view name);

struct GgmlMatrix {
  GgmlType type;
  std::int64_t outputs = 0, inputs = 0;
  const std::uint8_t* blocks = nullptr;  // [O, row_bytes]

  std::int64_t row_blocks() const;  // the last one may be filled up with zeros
  std::int64_t row_bytes() const;
};

// values [count, I]: the rows of W from `first` on.
void ggml_decode(const GgmlMatrix& w, std::int64_t first, std::int64_t count, float* values);

// Rows of values [rows, width] to blocks [rows, row_bytes], rounded as ggml's reference does.
void ggml_encode(GgmlType type, const float* values, std::int64_t rows, std::int64_t width,
                 std::uint8_t* blocks);

// Floats of working memory that a product needs for each row of x.
std::int64_t ggml_work(const GgmlMatrix& w);

// y [rows, O] = x [rows, I] (row stride `stride`) W^T + bias (or null). `work` has ggml_work(w) floats a row,
// on a boundary of 64 bytes.
void ggml_linear(const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                 const float* bias, float* y, float* work);

}  // namespace formwork
