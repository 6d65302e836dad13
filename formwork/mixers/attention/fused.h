// Softmax attention on the CPU kernels, with gradients: scores never become a tensor.
#pragma once
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

// A run of queries and the keys that they share: a whole batch, or one sequence of packed rows, or one row
// of a cache whose rows differ in length.
struct AttentionRun {
  int64_t row = 0, rows = 1;       // rows [row, row + rows) of q, k and v
  int64_t query = 0, queries = 0;  // tokens [query, query + queries) of q
  int64_t key = 0, keys = 0;       // tokens [key, key + keys) of k and v
  int64_t place = 0;               // of the first query among these keys
  int64_t sequence = 0;            // of the first row in key_lengths and prefix
};

struct AttentionPlan {
  std::vector<AttentionRun> runs;
  double scale = 1;
  bool causal = false;
  int64_t window = 0;   // keys that a query sees, itself included; 0: all
  Tensor key_lengths;   // [sequences] int64, or undefined
  Tensor prefix;        // [sequences] int64, or undefined
  Tensor slopes;        // [H] float, or undefined: the score falls by slope * |distance|
  int64_t nearest = 0;  // the distance (key - query) of the first column of the bias below
};

// Whether the kernels take these tensors: float32 on the CPU, channels dense, at least one head.
bool fits_fused_attention(const Tensor& q, const Tensor& k, const Tensor& v);

// q [B, Tq, H, d], k [B, Tk, Hkv, d], v [B, Tk, Hkv, dv] (any strides but the last), bias [H, n] by distance
// or undefined -> [B, Tq, H, dv]. Differentiable once, in q, k, v and the bias.
Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                       AttentionPlan plan);

}  // namespace formwork
