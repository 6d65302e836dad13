// Integer linear maps: rows in 8-bit codes, products of codes summed exactly in 32 bits, and one rescaling
// per output. Symmetric codes, s = max |x| over the row:
//
//   code(x) = round(x * (127 / s)), half to even, in [-127, 127];   x ~ code * s / 127
//   y[n, o] = (sum_i X[n, i] W[o, i]) * sX[n] * sW[o] / 127^2 + bias[o]
//
// Zero-point codes, s = half the range of the row, so that all 255 codes are used wherever the range lies:
//
//   code(x) = round(x * (127 / s)) - z,   z = round(min * (127 / s)) + 127;   x ~ (code + z) * s / 127
//   y[n, o] = (sum_i X W + zX[n] sum_i W + zW[o] sum_i X + count zX[n] zW[o]) * sX[n] * sW[o] / 127^2 + bias
//
// Weights are read as they are stored, [O, I]: no kernel keeps a copy in another order. Columns with |x| >=
// threshold in any row (the outliers) may be left out of the codes; the caller adds their product by
// int8_add_outlier_product. A row of x that is not finite gets the scale NaN, and so do all its outputs.
// Source: LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (2022).
#pragma once
#include <cstdint>
#include <vector>

namespace formwork {

// What a row's scale is taken over, once outlier columns are known.
enum class Int8RowMax {
  columns,  // entries outside the outlier columns
  values    // entries below the threshold, those of outlier columns too
};

struct Int8Outliers {
  std::vector<int64_t> columns;  // ascending
  float threshold = 0;
  Int8RowMax row_max = Int8RowMax::columns;
};

// x [rows, width], rows one after the other.
struct Int8Input {
  const float* x;
  int64_t rows, width;
  const Int8Outliers* outliers = nullptr;  // left out of scales and codes
};

// Columns that reach the threshold in some finite row. Throws Error unless threshold > 0.
std::vector<int64_t> int8_find_outliers(const Int8Input& in, float threshold);

// scales [rows] = max |x|; with `shared`, every row gets the largest of them.
void int8_row_scales(const Int8Input& in, bool shared, float* scales);
// Symmetric codes [rows, width] at these scales. A row whose scale is 0 or NaN gets codes 0, as do outlier
// columns.
void int8_quantize_rows(const Int8Input& in, const float* scales, int8_t* codes);

// scales and zeros [rows] of zero-point codes; with `shared`, those of all rows together. A row of one value
// is exact; one of zeros gets scale 1 and zero 0, one without entries that count too.
void int8_row_ranges(const Int8Input& in, bool shared, float* scales, float* zeros);
// Zero-point codes [rows, width]; a row whose scale is NaN gets codes 0, as do outlier columns.
void int8_quantize_ranges(const Int8Input& in, const float* scales, const float* zeros, int8_t* codes);

// sums [rows] of codes [rows, width], without the columns `without` (ascending).
void int8_code_sums(const int8_t* codes, int64_t rows, int64_t width, const std::vector<int64_t>& without,
                    int32_t* sums);

// Ways to sum products of codes; all give the same bits.
enum class Int8Kernel {
  portable,  // pairs of 16-bit products, on every processor
  vnni,      // AVX-512 VNNI: four 8-bit products a lane
  amx        // AMX: tiles of 16 x 16 sums
};
// Those that this processor runs.
std::vector<Int8Kernel> int8_kernels();
// The one of them that int8_linear uses for so many rows of x.
Int8Kernel int8_kernel_for(int64_t rows);

// sums [rows, O] = x [rows, I] w[O, I]^T, exact for I <= 131072. Codes in [-127, 127].
void int8_product(Int8Kernel kernel, const int8_t* x, int64_t rows, const int8_t* w, int64_t outputs,
                  int64_t inputs, int32_t* sums);

// Codes and how they turn into values; zeros null: symmetric.
struct Int8Side {
  const int8_t* codes = nullptr;
  int64_t rows = 0;
  const float* scales = nullptr;  // [rows]
  const float* zeros = nullptr;   // [rows]
  const int32_t* sums = nullptr;  // [rows], by int8_code_sums; of both sides where one has zeros
};

// y [x.rows, w.rows] with scales, zero points and the bias [w.rows] (or null) applied to the exact sums.
// `count`: columns that are not outliers.
void int8_linear(const Int8Side& x, const Int8Side& w, int64_t inputs, int64_t count, const float* bias,
                 float* y);

// y [rows, outputs] += x[:, columns] columns_of_w, with columns_of_w [columns, outputs] in float.
void int8_add_outlier_product(const Int8Input& in, const float* columns_of_w, int64_t outputs, float* y);

}  // namespace formwork
