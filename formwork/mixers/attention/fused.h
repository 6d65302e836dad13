// Softmax attention on the CPU kernels, with gradients: scores never become a tensor.
#pragma once
#include <vector>

#include "formwork/core/tensor.h"
#include "formwork/positions/position.h"

namespace formwork {

// A run of queries and the keys that they share: a whole batch, or one sequence of packed rows, or one row
// of a cache whose rows differ in length.
struct AttentionRun {
  int64_t row = 0, rows = 1;       // rows [row, row + rows) of q, k and v
  int64_t query = 0, queries = 0;  // tokens [query, query + queries) of q
  int64_t key = 0, keys = 0;       // tokens [key, key + keys) of k and v
  int64_t place = 0;               // of the first query among these keys
  int64_t sequence = 0;            // of the first row in key_lengths and prefix

  // All of q [B, Tq, ...] and k [B, Tk, ...].
  static AttentionRun whole(const Tensor& q, const Tensor& k, int64_t place = 0) {
    return {0, q.size(0), 0, q.size(1), 0, k.size(1), place, 0};
  }
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

// Head counts and widths of a fused projection [B, T, (H + Hkv) d + Hkv dv]: queries, keys, values.
struct AttentionHeads {
  int64_t queries, keys, width, value_width;
  bool halves = true;  // set by fused_self_attention
  int64_t turning() const { return queries + keys; }
};

// Views of a dense fused projection; turning: queries and keys, [B, T, H + Hkv, d]. Autograd does not follow
// them.
struct ProjectionParts {
  Tensor turning, q, k, v;
  ProjectionParts(const Tensor& qkv, const AttentionHeads& heads);
};

// The parts of a float32 projection on the CPU, queries and keys turned. As fused_self_attention, it takes
// over qkv's memory where it can, and it has no gradient.
ProjectionParts turn_projection(Tensor qkv, const AttentionHeads& heads, const Turn& turn);

// Whether the kernel takes this projection: dense float32 or bfloat16 on the CPU.
bool fits_fused_self_attention(const Tensor& qkv);

// Self-attention on a fused projection, queries and keys turned on the way -> [B, T, H, dv] in
// its type. Differentiable once in qkv; the sums are float32 whatever that type is. Takes over qkv's memory
// where nobody else holds it, so hand it over by move.
Tensor fused_self_attention(Tensor qkv, const AttentionHeads& heads, const Turn& turn, AttentionPlan plan);

}  // namespace formwork
