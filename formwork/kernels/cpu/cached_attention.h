// Causal attention to keys and values that lie in blocks of a cache, in float32, bfloat16 or int8. A
// query's result depends on its own sequence alone: blocks begin at multiples of 64 tokens, and every sum has
// one order, however many queries are asked at once. Sources: as attention.h and stick_breaking.h.
#pragma once
#include <cstddef>
#include <cstdint>

namespace formwork {

enum class CacheType { float32, bfloat16, int8 };

// Tokens of a block.
inline constexpr std::int64_t kCacheBlock = 64;

// A block holds for each head its keys [64, width] and then its values [64, value_width]; in int8, with codes
// c = x * 127 / s, the scales s of keys [64] and values [64] of each head follow at the end.
struct CacheLayout {
  CacheType type;
  std::int64_t heads, width, value_width;

  std::int64_t element() const {
    return type == CacheType::float32 ? 4 : type == CacheType::bfloat16 ? 2 : 1;
  }
  std::int64_t key_bytes() const { return kCacheBlock * width * element(); }
  std::int64_t head_bytes() const { return kCacheBlock * (width + value_width) * element(); }
  std::int64_t scales_at(std::int64_t head) const {
    return heads * head_bytes() + head * 2 * kCacheBlock * 4;
  }
  std::int64_t bytes() const { return type == CacheType::int8 ? scales_at(heads) : heads * head_bytes(); }
};

// Stores a head's key [width] and value [value_width] as token `place` of a block.
void cache_token(const CacheLayout& layout, std::byte* block, std::int64_t head, std::int64_t place,
                 const float* key, const float* value);

// How the scores of a query become weights of its keys (formwork/scores says by what formulas).
enum class ScoreRule { softmax, saturated, stick_breaking };

// The queries of one key head: `queries` tokens from place `first` on, `group` heads of each.
//
//   score = scale <q, k> - slope |p - j| + bias[min(p - j, reach - 1)],   j <= p,  p - j < window
//   with a cap: cap tanh(score / cap)
struct CachedAttention {
  CacheLayout layout;
  const std::byte* const* blocks;  // of tokens 0 .. 63, 64 .. 127, ..; those before the window may be null
  std::int64_t head, first, queries, group;
  float scale;
  std::int64_t window = 0;        // 0: none
  const float* slopes = nullptr;  // [group] or null
  const float* bias = nullptr;    // [group, reach] or null
  std::int64_t reach = 0;
  float cap = 0;  // 0: none
  ScoreRule rule = ScoreRule::softmax;
  const float* q = nullptr;  // token i, head g at q + i * q_stride + g * width
  std::int64_t q_stride = 0;
  float* o = nullptr;  // token i, head g at o + i * o_stride + g * value_width
  std::int64_t o_stride = 0;
};

// Query rows [begin, end) of queries * group; row r is head r % group of token r / group.
void cached_attention(const CachedAttention& attention, std::int64_t begin, std::int64_t end);

}  // namespace formwork
