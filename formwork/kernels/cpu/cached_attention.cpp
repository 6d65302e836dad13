#include "formwork/kernels/cpu/cached_attention.h"

#include <algorithm>
#include <cmath>

#include "formwork/kernels/cpu/attention_scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/cached_attention.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/cached_weights-inl.h"
#include "formwork/kernels/cpu/dot_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// Some queries of one head, side by side, and what their weights so far have left.
template <class Stored>
struct CachedTile {
  const CachedAttention& p;
  std::int64_t begin;          // the first query row
  float *q, *scores, *output;  // [rows, width] scaled, [rows, 64], [rows, padded value width]
  std::int64_t padded;
  RunningWeights running[8];

  std::int64_t place(int row) const { return p.first + (begin + row) / p.group; }
  std::int64_t oldest(int row) const {
    return p.window ? std::max<std::int64_t>(0, place(row) - p.window + 1) : 0;
  }
};

template <class Stored>
const float* scales_of(const CachedTile<Stored>& tile, const std::byte* block, bool values) {
  if constexpr (sizeof(Stored) == 1)
    return reinterpret_cast<const float*>(block + tile.p.layout.scales_at(tile.p.head)) +
           (values ? kCacheBlock : 0);
  return nullptr;
}

// scores [kRows, n] of the first n tokens of a block.
template <int kRows, class Stored>
void score_block(const CachedTile<Stored>& tile, const std::byte* block, std::int64_t n) {
  constexpr int kTogether = kRows == 8 ? 2 : 4;
  const auto& layout = tile.p.layout;
  const auto* keys = reinterpret_cast<const Stored*>(block + tile.p.head * layout.head_bytes());
  float sums[kDotRoom<float, kRows, kTogether>];
  const auto some = [&]<int kCount>(std::int64_t j) HWY_ATTR {
    dot_block<kRows, kCount, float, Stored>(layout.width, {tile.q, layout.width},
                                            {keys + j * layout.width, layout.width}, nullptr, sums);
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kCount; ++c) tile.scores[r * kCacheBlock + j + c] = sums[r * kCount + c];
  };
  std::int64_t j = 0;
  for (; j + kTogether <= n; j += kTogether) some.template operator()<kTogether>(j);
  for (; j < n; ++j) some.template operator()<1>(j);
  if (const float* scales = scales_of(tile, block, false))
    for (int r = 0; r < kRows; ++r)
      for (std::int64_t c = 0; c < n; ++c) tile.scores[r * kCacheBlock + c] *= scales[c] * (1.0f / 127);
}

template <class Stored>
void bias_and_cap(const CachedTile<Stored>& tile, int row, std::int64_t base, std::int64_t from,
                  std::int64_t to) {
  const auto& p = tile.p;
  const std::int64_t head = (tile.begin + row) % p.group, place = tile.place(row);
  float* scores = tile.scores + row * kCacheBlock;
  if (p.slopes)
    for (std::int64_t j = from; j < to; ++j)
      scores[j] -= p.slopes[head] * static_cast<float>(place - base - j);
  if (p.bias)
    for (std::int64_t j = from; j < to; ++j)
      scores[j] += p.bias[head * p.reach + std::min(place - base - j, p.reach - 1)];
  if (p.cap > 0)
    for (std::int64_t j = from; j < to; ++j) scores[j] = p.cap * std::tanh(scores[j] / p.cap);
}

// output += scores V over the first n tokens of a block.
template <int kRows, class Stored>
void weigh_block(const CachedTile<Stored>& tile, const std::byte* block, std::int64_t n) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d), width = tile.p.layout.value_width;
  constexpr int kVectors = kRows == 8 ? 2 : 4;
  const auto& layout = tile.p.layout;
  const auto* values =
      reinterpret_cast<const Stored*>(block + tile.p.head * layout.head_bytes() + layout.key_bytes());
  if (const float* scales = scales_of(tile, block, true))
    for (int r = 0; r < kRows; ++r)
      for (std::int64_t j = 0; j < n; ++j) tile.scores[r * kCacheBlock + j] *= scales[j] * (1.0f / 127);
  const auto columns = [&]<int kCount>(std::int64_t c) HWY_ATTR {
    VecOf<decltype(d)> sums[kRows * kCount];
    FORMWORK_UNROLL for (int i = 0; i < kRows * kCount; ++i) sums[i] =
        hn::LoadU(d, tile.output + (i / kCount) * tile.padded + c + (i % kCount) * lanes);
    for (std::int64_t j = 0; j < n; ++j) {
      VecOf<decltype(d)> value[kCount];
      FORMWORK_UNROLL for (int v = 0; v < kCount; ++v) value[v] =
          load_some(d, values + j * width + c + v * lanes, width - c - v * lanes);
      FORMWORK_UNROLL for (int i = 0; i < kRows * kCount; ++i) sums[i] =
          hn::MulAdd(hn::Set(d, tile.scores[(i / kCount) * kCacheBlock + j]), value[i % kCount], sums[i]);
    }
    FORMWORK_UNROLL for (int i = 0; i < kRows * kCount; ++i)
        hn::StoreU(sums[i], d, tile.output + (i / kCount) * tile.padded + c + (i % kCount) * lanes);
  };
  std::int64_t c = 0;
  for (; c + kVectors * lanes <= width; c += kVectors * lanes) columns.template operator()<kVectors>(c);
  for (; c < width; c += lanes) columns.template operator()<1>(c);
}

template <int kRows, class Stored>
void attend_block(CachedTile<Stored>& tile, std::int64_t index) {
  const std::int64_t base = index * kCacheBlock, last = tile.place(kRows - 1);
  const std::int64_t n = std::min(kCacheBlock, last + 1 - base);
  const std::byte* block = tile.p.blocks[index];
  score_block<kRows>(tile, block, n);
  for (int row = 0; row < kRows; ++row) {
    const std::int64_t from = std::clamp<std::int64_t>(tile.oldest(row) - base, 0, n),
                       to = std::clamp<std::int64_t>(tile.place(row) + 1 - base, from, n);
    bias_and_cap(tile, row, base, from, to);
    const float shrink = weigh(tile.p.rule, tile.scores + row * kCacheBlock, from, to, tile.running[row]);
    if (shrink == 1.0f) continue;
    float* output = tile.output + row * tile.padded;
    for (std::int64_t c = 0; c < tile.padded; ++c) output[c] *= shrink;
  }
  weigh_block<kRows>(tile, block, n);
}

template <int kRows, class Stored>
HWY_NOINLINE void attend_rows(const CachedAttention& p, std::int64_t begin) {
  const std::int64_t width = p.layout.width, value_width = p.layout.value_width;
  const std::int64_t padded = (value_width + 15) / 16 * 16;
  Scratch<float> scratch(Scratch<float>::size(kRows * width) + Scratch<float>::size(kRows * kCacheBlock) +
                         Scratch<float>::size(kRows * padded));
  float* q = scratch.take(kRows * width);
  float* scores = scratch.take(kRows * kCacheBlock);
  float* output = scratch.take(kRows * padded);
  CachedTile<Stored> tile{p, begin, q, scores, output, padded, {}};
  std::fill_n(output, kRows * padded, 0.0f);
  for (int row = 0; row < kRows; ++row) {
    const std::int64_t r = begin + row;
    const float* from = p.q + r / p.group * p.q_stride + r % p.group * width;
    for (std::int64_t c = 0; c < width; ++c) q[row * width + c] = from[c] * p.scale;
  }
  const std::int64_t oldest = tile.oldest(0) / kCacheBlock, newest = tile.place(kRows - 1) / kCacheBlock;
  for (std::int64_t b = oldest; b <= newest; ++b)
    attend_block<kRows>(tile, newest_first(p.rule) ? newest - (b - oldest) : b);
  for (int row = 0; row < kRows; ++row) {
    const std::int64_t r = begin + row;
    float* to = p.o + r / p.group * p.o_stride + r % p.group * value_width;
    const float share = share_of(p.rule, tile.running[row]);
    for (std::int64_t c = 0; c < value_width; ++c) to[c] = output[row * padded + c] * share;
  }
}

template <class Stored>
void attend_all(const CachedAttention& p, std::int64_t begin, std::int64_t end) {
  for (; begin + 8 <= end; begin += 8) attend_rows<8, Stored>(p, begin);
  for (; begin + 4 <= end; begin += 4) attend_rows<4, Stored>(p, begin);
  for (; begin + 2 <= end; begin += 2) attend_rows<2, Stored>(p, begin);
  for (; begin < end; ++begin) attend_rows<1, Stored>(p, begin);
}

using CachedKernel = void (*)(const CachedAttention&, std::int64_t, std::int64_t);
CachedKernel cached_kernel(CacheType type) {
  if (type == CacheType::int8) return &attend_all<std::int8_t>;
  return type == CacheType::bfloat16 ? &attend_all<bfloat16> : &attend_all<float>;
}

void to_bfloat16(std::int64_t n, const float* x, bfloat16* y) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d);
  for (std::int64_t i = 0; i < n; i += lanes) store_some(d, load_some(d, x + i, n - i), y + i, n - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(cached_kernel);
HWY_EXPORT(to_bfloat16);

// Codes of one row, and its scale.
static float to_codes(std::int64_t n, const float* x, std::int8_t* codes) {
  float most = 0;
  for (std::int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
  const float factor = most > 0 ? 127 / most : 0;
  for (std::int64_t i = 0; i < n; ++i) codes[i] = static_cast<std::int8_t>(std::nearbyint(x[i] * factor));
  return most;
}

void cache_token(const CacheLayout& layout, std::byte* block, std::int64_t head, std::int64_t place,
                 const float* key, const float* value) {
  std::byte* keys = block + head * layout.head_bytes() + place * layout.width * layout.element();
  std::byte* values =
      block + head * layout.head_bytes() + layout.key_bytes() + place * layout.value_width * layout.element();
  if (layout.type == CacheType::float32) {
    std::copy_n(key, layout.width, reinterpret_cast<float*>(keys));
    std::copy_n(value, layout.value_width, reinterpret_cast<float*>(values));
  } else if (layout.type == CacheType::bfloat16) {
    HWY_DYNAMIC_DISPATCH(to_bfloat16)(layout.width, key, reinterpret_cast<bfloat16*>(keys));
    HWY_DYNAMIC_DISPATCH(to_bfloat16)(layout.value_width, value, reinterpret_cast<bfloat16*>(values));
  } else {
    auto* scales = reinterpret_cast<float*>(block + layout.scales_at(head));
    scales[place] = to_codes(layout.width, key, reinterpret_cast<std::int8_t*>(keys));
    scales[kCacheBlock + place] = to_codes(layout.value_width, value, reinterpret_cast<std::int8_t*>(values));
  }
}

void cached_attention(const CachedAttention& attention, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(cached_kernel)(attention.layout.type)(attention, begin, end);
}

}  // namespace formwork
#endif  // HWY_ONCE
