#include "formwork/core/error.h"
#include "formwork/kernels/cpu/int8.h"
#include "formwork/kernels/cpu/int8_block.h"
#include "formwork/kernels/cpu/parallel.h"

namespace formwork {
namespace {

Int8BlockKernel block_kernel(Int8Kernel kernel) {
  if (kernel == Int8Kernel::amx) return int8_amx_kernel();
  return kernel == Int8Kernel::vnni ? int8_vnni_kernel() : int8_portable_kernel();
}

struct Product {
  Int8Kernel kernel;
  const int8_t* x;
  int64_t rows;
  const int8_t* w;
  int64_t outputs, inputs;
};

// Rows of x that stay in the second cache while all weights pass by; whole tiles of 64.
int64_t rows_at_once(int64_t inputs) {
  constexpr int64_t cache = 256 << 10;
  return std::max<int64_t>(1, cache / std::max<int64_t>(1, inputs) / 64) * 64;
}

// Runs finish(first row, rows, first output, outputs, sums [rows][kInt8Block]) on every part of the result,
// blocks of outputs in parallel.
template <class Finish>
void each_block(const Product& p, const Finish& finish) {
  const auto kernel = block_kernel(p.kernel);
  if (!kernel.multiply) fail("int8: this processor lacks the instructions of the kernel that was asked for");
  // Kept from call to call: a step of decoding must not ask for memory.
  thread_local std::vector<int32_t> prepared;
  const int64_t step = rows_at_once(p.inputs), blocks = (p.outputs + kInt8Block - 1) / kInt8Block;
  for (int64_t first = 0; first < p.rows; first += step) {
    Int8Rows rows{p.x + first * p.inputs, std::min(step, p.rows - first), p.inputs, std::move(prepared)};
    kernel.prepare(rows);
    parallel_for(0, blocks, 4, [&](int64_t begin, int64_t end) {
      thread_local std::vector<int32_t> sums;
      sums.resize(static_cast<size_t>(rows.rows * kInt8Block));
      for (int64_t block = begin; block < end; ++block) {
        const int64_t output = block * kInt8Block, width = std::min(kInt8Block, p.outputs - output);
        kernel.multiply(rows, p.w + output * p.inputs, width, sums.data());
        finish(first, rows.rows, output, width, sums.data());
      }
    });
    prepared = std::move(rows.prepared);
  }
}

// The terms of the zero points, added in double: they may cancel far beyond 32 bits.
float shifted(int32_t sum, const Int8Side& x, int64_t n, const Int8Side& w, int64_t o, double count) {
  const double x_zero = x.zeros ? x.zeros[n] : 0, w_zero = w.zeros ? w.zeros[o] : 0;
  return static_cast<float>(sum + x_zero * w.sums[o] + w_zero * x.sums[n] + count * x_zero * w_zero);
}

}  // namespace

std::vector<Int8Kernel> int8_kernels() {
  std::vector<Int8Kernel> kernels = {Int8Kernel::portable};
  for (const auto kernel : {Int8Kernel::vnni, Int8Kernel::amx})
    if (block_kernel(kernel).multiply) kernels.push_back(kernel);
  return kernels;
}

Int8Kernel int8_kernel_for(int64_t rows) {
  constexpr int64_t tiles_pay = 8;
  if (rows >= tiles_pay && int8_amx_kernel().multiply) return Int8Kernel::amx;
  return int8_vnni_kernel().multiply ? Int8Kernel::vnni : Int8Kernel::portable;
}

void int8_product(Int8Kernel kernel, const int8_t* x, int64_t rows, const int8_t* w, int64_t outputs,
                  int64_t inputs, int32_t* sums) {
  each_block({kernel, x, rows, w, outputs, inputs},
             [&](int64_t first, int64_t count, int64_t output, int64_t width, const int32_t* block) {
               for (int64_t n = 0; n < count; ++n)
                 std::copy_n(block + n * kInt8Block, width, sums + (first + n) * outputs + output);
             });
}

void int8_linear(const Int8Side& x, const Int8Side& w, int64_t inputs, int64_t count, const float* bias,
                 float* y) {
  const bool affine = x.zeros || w.zeros;
  each_block({int8_kernel_for(x.rows), x.codes, x.rows, w.codes, w.rows, inputs},
             [&](int64_t first, int64_t rows, int64_t output, int64_t width, const int32_t* block) {
               for (int64_t n = 0; n < rows; ++n) {
                 const float scale = x.scales[first + n] * (1.0f / 16129.0f);
                 float* to = y + (first + n) * w.rows + output;
                 for (int64_t o = 0; o < width; ++o) {
                   const int32_t sum = block[n * kInt8Block + o];
                   const float whole =
                       affine ? shifted(sum, x, first + n, w, output + o, static_cast<double>(count))
                              : static_cast<float>(sum);
                   const float value = whole * (scale * w.scales[output + o]);
                   to[o] = bias ? value + bias[output + o] : value;
                 }
               }
             });
}

void int8_code_sums(const int8_t* codes, int64_t rows, int64_t width, const std::vector<int64_t>& without,
                    int32_t* sums) {
  for (int64_t n = 0; n < rows; ++n) {
    const int8_t* row = codes + n * width;
    sums[n] = std::accumulate(row, row + width, int32_t{0});
    for (const int64_t i : without) sums[n] -= row[i];
  }
}

}  // namespace formwork
