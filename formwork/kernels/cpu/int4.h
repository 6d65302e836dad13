// Weights in 4-bit codes with one scale and one zero point per group of inputs, multiplied as they are
// stored, without unpacking them to memory:
//
//   W[o, i] = scale[o, g] (code[o, i] - zero[o, g]),   g = i / group,   code in [0, 15]
//   y[n, o] = sum_i x[n, i] W[o, i] + bias[o]
//
// Source: the group quantization of GPTQ: Accurate Post-Training Quantization (2022).
#pragma once
#include <cstdint>

namespace formwork {

struct Int4Weight {
  int64_t outputs = 0;             // O
  int64_t inputs = 0;              // I; the last group is short where it is no multiple of group
  int64_t group = 0;               // a multiple of 8; 32, 64 and 128 are usual
  const uint8_t* codes = nullptr;  // [O, (I + 1) / 2], the first of two inputs in the low half
  const float* scales = nullptr;   // [O, groups], groups = (I + group - 1) / group
  const uint8_t* zeros = nullptr;  // [O, groups], in [0, 15]
};

// y [rows, O] = x [rows, I] (row stride `stride`) W^T + bias (or null). Throws Error when group is no
// multiple of 8.
void int4_linear(const float* x, int64_t rows, int64_t stride, const Int4Weight& weight, const float* bias,
                 float* y);

// The same for weights that are multiplied again and again, without asking for memory: `prepared` once, and
// for each call x turned into runs, [rows, prepared.padded]. Rows of y are `y_stride` apart; with `add`, y is
// added to. A row's result does not depend on the others.
struct Int4Rows;
struct Int4Call {
  const float* x;
  int64_t rows, x_stride;
  float* turned;      // [rows, padded], scratch
  const float* bias;  // [O] or null
  float* y;
  int64_t y_stride;
  bool add;
};
Int4Rows int4_prepared(const Int4Weight& weight);
void int4_product(const Int4Rows& weight, const Int4Call& call);

// values [count, I]: the rows of W from `first` on. Many rows of x multiply by these in parts.
void int4_dequantize(const Int4Weight& weight, int64_t first, int64_t count, float* values);

}  // namespace formwork
