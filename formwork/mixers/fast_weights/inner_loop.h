// The inner loop of a memory that learns while it reads: at every token its weights take a step on the Omega
// objective (omega.h), then the token's query is answered by them, y_t = M_t(phi(q_t)): write before read.
//
// Gradients inside a chunk of b tokens are taken at the weights of the chunk's start, so that all of a chunk
// is matrix products; the window of the objective also reaches c - 1 tokens back into the chunk before, whose
// gradients are taken anew. b = 1 is the exact recurrence. Every sequence and head has weights of its own.
// Source: ATLAS: Learning to Optimally Memorize the Context at Test Time (2025), sections 3 to 5.
#pragma once
#include "formwork/mixers/fast_weights/feature_map.h"
#include "formwork/mixers/fast_weights/inner_optimizer.h"
#include "formwork/mixers/fast_weights/omega.h"

namespace formwork {

struct InnerLoop {
  const FastMemory* memory;
  const FeatureMap* features;
  const InnerOptimizer* optimizer;
  InnerLoss loss = InnerLoss::regression;
  int64_t window = 1, chunk = 1;  // c and b
  std::string path;               // of the layer, for errors
};

// Of T tokens. Keys and queries should have norm 1: a step is stable while eta times the largest eigenvalue
// of sum_i g_i phi_i phi_i^T is below 2.
struct InnerTokens {
  Tensor queries, keys;    // [B, H, T, d]
  Tensor values;           // [B, H, T, dv]
  Tensor gates;            // g [B, H, T]
  Tensor decay, momentum;  // log alpha and log theta [B, H, T]; no momentum: undefined
  Tensor rate;             // eta [B, H, T]
  Tensor keep;             // [B, T] bool, false for padding on the right; undefined: all are real
};

// What a sequence carries on; its size depends on the tokens so far with kernel features alone.
struct FastState {
  std::vector<Tensor> weights;  // M [B, H, rows, columns]
  std::vector<Tensor> anchors;  // M at the start of the chunk; chunk > 1
  std::vector<Tensor> momenta;  // S; optimizers that keep one
  Tensor keys, values, gates;   // phi(k), v and g of the last c - 1 tokens; window > 1
  Tensor seen;                  // [B] int64 tokens so far
  KeyStore store;               // features by kernel: all keys, and where those of the window stand
};

// Of rows that have seen no token; their weights are taken from the memory by the first call.
FastState fresh_state(const InnerLoop& loop, int64_t batch, int64_t heads, int64_t value_width,
                      const at::TensorOptions& like);
// The tensors in use, in a fixed order.
std::vector<Tensor*> fields_of(const InnerLoop& loop, FastState& state);

// y [B, H, T, dv]; moves `state` on by the real tokens. Throws, naming the layer and the token, where the
// inner loss is not finite.
Tensor run_inner_loop(Context& ctx, const InnerLoop& loop, const InnerTokens& tokens, FastState& state);

// y where nothing is written: every query is answered by the weights at the start.
Tensor read_without_updates(Context& ctx, const InnerLoop& loop, const Tensor& queries);

}  // namespace formwork
