// Weights in 4-bit codes with one scale and one zero point per group of inputs, multiplied without unpacking
// them to memory:
//
//   W[o, i] = scale[o, g] (code[o, i] - zero[o, g]),   g = i / group,   code in [0, 15]
//   y[n, o] = sum_g scale[o, g] (sum_{i in g} x[n, i] code[o, i] - zero[o, g] sum_{i in g} x[n, i]) + bias[o]
//
// Asymmetric groups span [min(0, min), max(0, max)] in 15 steps; symmetric ones have zero 8 and scale max |w|
// / 7. Source: the group quantization of GPTQ: Accurate Post-Training Quantization (2022).
#pragma once
#include <cstdint>
#include <vector>

namespace formwork {

struct Int4Codes {
  int64_t outputs = 0;               // O
  int64_t inputs = 0;                // I, a multiple of group
  int64_t group = 0;                 // a multiple of 8; 32, 64 and 128 are usual
  std::vector<uint8_t> codes;        // [O, I]
  std::vector<float> scales, zeros;  // [O, I / group]; zeros are whole numbers in [0, 15]
};

// Rounds w [O, I] to the nearest code. Throws Error when group is no multiple of 8 or does not divide I.
Int4Codes int4_quantize(const float* w, int64_t outputs, int64_t inputs, int64_t group, bool symmetric);

// The same codes at half a byte each, in panels of 16 outputs.
struct Int4PackedWeight {
  int64_t outputs = 0, inputs = 0, group = 0;
  std::vector<uint32_t> words;       // [ceil(O / 16)][I / 8][16]: 8 inputs a word, the first in the low bits
  std::vector<float> scales, zeros;  // [ceil(O / 16)][I / group][16]
};

Int4PackedWeight int4_pack(const Int4Codes& codes);
Int4Codes int4_unpack(const Int4PackedWeight& weight);

// y [rows, O] = x [rows, I] (row stride `stride`) W^T + bias (or null).
void int4_linear(const float* x, int64_t rows, int64_t stride, const Int4PackedWeight& weight,
                 const float* bias, float* y);

}  // namespace formwork
