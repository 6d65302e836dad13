// The keys and values of one head as attention's tiles read them, for one SIMD target: packed first, which
// pays where many queries read them, or where they lie.
#if defined(FORMWORK_KERNELS_CPU_ATTENTION_KEYS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_KERNELS_CPU_ATTENTION_KEYS_INL_H
#undef FORMWORK_KERNELS_CPU_ATTENTION_KEYS_INL_H
#else
#define FORMWORK_KERNELS_CPU_ATTENTION_KEYS_INL_H
#endif

#include "formwork/kernels/cpu/attention_mask.h"
#include "formwork/kernels/cpu/attention_tile-inl.h"
#include "formwork/kernels/cpu/dot_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// Rows of queries [rows, padded(width)], scaled; of scores [rows, kScoreStride]; of output [rows,
// padded(value_width)].
template <class T>
struct QueryTile {
  std::int64_t rows, width, value_width;
  const T* queries;
  T *scores, *output;
};

template <class T>
struct PackedKeys {
  T* keys_transposed;  // [width, stride], from key `base` on
  T* values;           // [keys, padded(value_width)]
  std::int64_t base, stride;

  void score(const QueryTile<T>& q, const KeyTile& tile) const {
    product<false, T>({q.rows,
                       tile.columns(),
                       q.width,
                       {q.queries, padded(q.width), 1},
                       keys_transposed + tile.begin - base,
                       stride,
                       q.scores,
                       kScoreStride});
  }

  // output (+)= scores V.
  void weigh(const QueryTile<T>& q, const KeyTile& tile, bool add) const {
    const std::int64_t wide = padded(q.value_width);
    const Product<T> weighted{
        q.rows, wide,     tile.size(), {q.scores, kScoreStride, 1}, values + (tile.begin - base) * wide,
        wide,   q.output, wide};
    add ? product<true, T>(weighted) : product<false, T>(weighted);
  }
};

template <class T>
struct PlainKeys {
  DotRows<T> keys, values;  // from key 0 on

  void score(const QueryTile<T>& q, const KeyTile& tile) const {
    for (std::int64_t r = 0; r < q.rows; ++r) {
      const T* query = q.queries + r * padded(q.width);
      T* scores = q.scores + r * kScoreStride;
      std::int64_t j = tile.begin;
      for (; j + kTogether <= tile.end; j += kTogether)
        score_block<kTogether>(q.width, query, j, scores + j - tile.begin);
      for (; j < tile.end; ++j) score_block<1>(q.width, query, j, scores + j - tile.begin);
    }
  }

  void weigh(const QueryTile<T>& q, const KeyTile& tile, bool add) const {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = hn::Lanes(d);
    for (std::int64_t r = 0; r < q.rows; ++r) {
      const T* scores = q.scores + r * kScoreStride;
      T* output = q.output + r * padded(q.value_width);
      std::int64_t c = 0;
      for (; c + 4 * lanes <= q.value_width; c += 4 * lanes)
        weigh_block<4>(4 * lanes, scores, tile, c, add, output);
      for (; c < q.value_width; c += lanes) weigh_block<1>(q.value_width - c, scores, tile, c, add, output);
    }
  }

 private:
  static constexpr int kTogether = 8;

  template <int kCount>
  HWY_INLINE void score_block(std::int64_t width, const T* query, std::int64_t key, T* to) const {
    T sums[kDotRoom<T, 1, kCount>];
    dot_block<1, kCount, T>(width, {query, 0}, {keys.data + key * keys.stride, keys.stride}, nullptr, sums);
    std::copy_n(sums, kCount, to);
  }

  // Columns [c, c + kVectors vectors) of the output, of which `left` exist.
  template <int kVectors>
  HWY_INLINE void weigh_block(std::int64_t left, const T* scores, const KeyTile& tile, std::int64_t c,
                              bool add, T* output) const {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = hn::Lanes(d);
    VecOf<decltype(d)> sums[kVectors];
    FORMWORK_UNROLL for (int i = 0; i < kVectors; ++i) sums[i] =
        add ? hn::Load(d, output + c + i * lanes) : hn::Zero(d);
    const T* value = values.data + tile.begin * values.stride + c;
    for (std::int64_t j = 0; j < tile.size(); ++j, value += values.stride) {
      const auto weight = hn::Set(d, scores[j]);
      FORMWORK_UNROLL for (int i = 0; i < kVectors; ++i) sums[i] =
          hn::MulAdd(weight, load_some(d, value + i * lanes, left - i * lanes), sums[i]);
    }
    FORMWORK_UNROLL for (int i = 0; i < kVectors; ++i) hn::Store(sums[i], d, output + c + i * lanes);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#endif  // FORMWORK_KERNELS_CPU_ATTENTION_KEYS_INL_H
