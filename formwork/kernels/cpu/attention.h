// Exact softmax attention in tiles: the scores never leave the cache, and tiles without a permitted key are
// skipped. Sources: "Attention Is All You Need" (Vaswani et al., 2017); "FlashAttention" (Dao et al., 2022);
// "Fast Transformer Decoding: One Write-Head is All You Need" (Shazeer, 2019) for shared keys; "Train Short,
// Test Long" (Press et al., 2021) for slopes.
#pragma once
#include <cstdint>

#include "formwork/kernels/cpu/head_view.h"

namespace formwork {

// query_heads is a multiple of key_heads: head h reads key head h / (query_heads / key_heads).
struct AttentionShape {
  std::int64_t batch, query_heads, key_heads, queries, keys, width, value_width;
};

// Query i stands at position p = i + query_offset among the keys (offset = keys - queries when decoding).
// Key j is permitted if j < key_lengths[b], and either j < prefix_lengths[b] or all of these hold:
// j <= p when causal; |p - j| < window when there is a window. A query without a permitted key gives 0.
struct AttentionMask {
  bool causal = false;
  std::int64_t query_offset = 0;
  std::int64_t window = 0;                       // 0: none
  const std::int64_t* key_lengths = nullptr;     // [batch] or null
  const std::int64_t* prefix_lengths = nullptr;  // [batch] or null
};

// Added to the scaled scores: [batch, query_heads, queries, keys], stride 0 where a dimension is shared.
template <class T>
struct AttentionBias {
  T* data = nullptr;
  std::int64_t batch = 0, head = 0, query = 0, key = 0;
};

// score = scale * <q, k> + bias - slope[h] * |p - j|; o = softmax(score) v. T is float or double.
template <class T>
struct Attention {
  AttentionShape shape;
  AttentionMask mask;
  T scale;
  AttentionBias<const T> bias;
  const T* slopes = nullptr;  // [query_heads] or null
};

// Writes o and logsumexp [batch, query_heads, queries] (natural; -infinity without a permitted key).
template <class T>
void attention_forward(const Attention<T>& attention, HeadView<const T> q, HeadView<const T> k,
                       HeadView<const T> v, HeadView<T> o, T* logsumexp);

// What the backward pass reads.
template <class T>
struct AttentionSaved {
  HeadView<const T> q, k, v, o;
  const T* logsumexp;
};

// Where the backward pass writes; dq, dk and dv are set. dbias is added to (zero it first): sums over a
// shared dimension arise by themselves from its stride 0; null data where it is not wanted. dq, dk and dv may
// be q, k and v.
template <class T>
struct AttentionGradients {
  HeadView<T> dq, dk, dv;
  AttentionBias<T> dbias;
};

template <class T>
void attention_backward(const Attention<T>& attention, const AttentionSaved<T>& saved, HeadView<const T> d_o,
                        const AttentionGradients<T>& gradients);

}  // namespace formwork
