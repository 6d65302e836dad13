// Integer linear maps: rows quantized by their largest magnitude, products of 8-bit codes summed exactly in
// 32 bits, and one rescaling per output.
//
//   code(x) = round(x * (127 / s)), half to even, in [-127, 127];  s = max |x| over the row
//   y[n, o] = (sum_i X[n, i] W[o, i]) * sX[n] * sW[o] / 127^2 + bias[o]
//
// Columns with |x| >= threshold in any row (the outliers) may be left out of the codes; the caller adds their
// product from outlier_product. Source: LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale
// (2022).
#pragma once
#include <cstdint>
#include <vector>

namespace formwork {

// What a row's scale is the maximum of, once outlier columns are known.
enum class Int8RowMax {
  columns,  // entries outside the outlier columns
  values    // entries below the threshold, those of outlier columns too
};

struct Int8Outliers {
  std::vector<int64_t> columns;  // ascending
  float threshold = 0;
  Int8RowMax row_max = Int8RowMax::columns;
};

// Columns of x [rows, width] (row stride `stride`) that reach the threshold in some row. Threshold > 0.
Int8Outliers int8_find_outliers(const float* x, int64_t rows, int64_t width, int64_t stride, float threshold,
                                Int8RowMax row_max = Int8RowMax::columns);

// codes [rows, width] dense, scales [rows] = s. A row with s = 0 gets codes 0. Outlier columns get code 0.
// Values must be finite.
void int8_quantize_rows(const float* x, int64_t rows, int64_t width, int64_t stride, int8_t* codes,
                        float* scales, const Int8Outliers* outliers = nullptr);

// Weight codes [O, I] laid out for the product: panels of 16 outputs, pairs of inputs side by side.
struct Int8PackedWeight {
  int64_t outputs = 0;         // O
  int64_t inputs = 0;          // I
  std::vector<int8_t> panels;  // [ceil(O / 16)][ceil(I / 2)][16][2], zero-padded
};

Int8PackedWeight int8_pack_weight(const int8_t* codes, int64_t outputs, int64_t inputs);
// The code of one weight, for the outlier product and for dequantizing.
int8_t int8_weight_code(const Int8PackedWeight& weight, int64_t output, int64_t input);

// sums [rows, O] = codes [rows, I] * weight^T, exact for I <= 131072.
void int8_product(const int8_t* codes, int64_t rows, const Int8PackedWeight& weight, int32_t* sums);

// y [rows, O] with both scales and the bias (or null) applied to the exact sums.
void int8_linear(const int8_t* codes, const float* row_scales, int64_t rows, const Int8PackedWeight& weight,
                 const float* output_scales, const float* bias, float* y);

// y [rows, O] += x[:, columns] * (dequantized weight columns)^T.
void int8_add_outlier_product(const float* x, int64_t rows, int64_t stride, const Int8Outliers& outliers,
                              const Int8PackedWeight& weight, const float* output_scales, float* y);

}  // namespace formwork
