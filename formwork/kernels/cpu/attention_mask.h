// Which keys a query, or a tile of queries, may see.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

#include "formwork/kernels/cpu/attention.h"

namespace formwork {

// Permitted keys: [0, prefix) and [first, last).
struct PermittedKeys {
  std::int64_t prefix, first, last;
  std::int64_t end() const { return std::max(prefix, last); }
};

// The mask of one batch row.
class RowMask {
 public:
  RowMask(const AttentionMask& mask, std::int64_t keys, std::int64_t batch) : mask_(mask) {
    length_ = mask.key_lengths ? std::clamp<std::int64_t>(mask.key_lengths[batch], 0, keys) : keys;
    prefix_ = mask.prefix_lengths ? std::clamp<std::int64_t>(mask.prefix_lengths[batch], 0, length_) : 0;
  }

  PermittedKeys query(std::int64_t i) const {
    const std::int64_t position = i + mask_.query_offset;
    const std::int64_t first = mask_.window > 0 ? position - mask_.window + 1 : 0;
    std::int64_t last = length_;
    if (mask_.causal) last = std::min(last, position + 1);
    if (mask_.window > 0) last = std::min(last, position + mask_.window);
    last = std::max<std::int64_t>(0, last);
    return {prefix_, std::clamp<std::int64_t>(first, 0, last), last};
  }

  // Keys that some query of [begin, end) may see: both ends grow with the query.
  PermittedKeys queries(std::int64_t begin, std::int64_t end) const {
    return {prefix_, query(begin).first, query(end - 1).last};
  }

 private:
  AttentionMask mask_;
  std::int64_t length_, prefix_;
};

inline constexpr std::int64_t kTileQueries = 48, kTileKeys = 128, kPad = 16;
inline std::int64_t padded(std::int64_t n) { return (n + kPad - 1) / kPad * kPad; }

// Strides that are odd multiples of kPad, so that the rows of a column do not share a cache set.
inline constexpr std::int64_t kScoreStride = kTileKeys + kPad;
inline std::int64_t key_stride(std::int64_t keys) {
  return padded(keys) / kPad % 2 ? padded(keys) : padded(keys) + kPad;
}

// Queries for each tile: the tiles of one head are about equally tall.
inline std::int64_t tile_rows(std::int64_t queries) {
  const std::int64_t tiles = std::max<std::int64_t>(1, (queries + kTileQueries - 1) / kTileQueries);
  return std::max<std::int64_t>(1, (queries + tiles - 1) / tiles);
}

// A run of keys, starting at a multiple of kPad.
struct KeyTile {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
  std::int64_t columns() const { return padded(end - begin); }
};

// The first tile at or after `at` that holds a permitted key; empty when there is none.
inline KeyTile next_tile(const PermittedKeys& keys, std::int64_t at) {
  if (at >= keys.prefix) at = std::max(at, keys.first / kPad * kPad);
  return {at, std::max(at, std::min(at + kTileKeys, keys.end()))};
}

// Columns of the tile up to the last one that a query may see.
inline std::int64_t seen_columns(const PermittedKeys& keys, const KeyTile& tile) {
  return std::clamp<std::int64_t>(keys.end() - tile.begin, 0, tile.size());
}

// Puts -infinity on the forbidden keys of one query that come before its last permitted one.
template <class T>
void mask_gap(const PermittedKeys& keys, const KeyTile& tile, T* scores) {
  const std::int64_t end = std::min(keys.first, tile.end);
  for (std::int64_t j = std::max(keys.prefix, tile.begin); j < end; ++j)
    scores[j - tile.begin] = -std::numeric_limits<T>::infinity();
}

// Adds the bias and the slope's penalty to one query's row of scores.
template <class T>
void bias_row(const Attention<T>& attention, std::int64_t batch, std::int64_t head, std::int64_t query,
              const KeyTile& tile, T* scores) {
  if (const auto& bias = attention.bias; bias.data) {
    const T* row =
        bias.data + batch * bias.batch + head * bias.head + query * bias.query + tile.begin * bias.key;
    for (std::int64_t j = 0; j < tile.size(); ++j) scores[j] += row[j * bias.key];
  }
  if (attention.slopes) {
    const T slope = attention.slopes[head];
    const std::int64_t distance = query + attention.mask.query_offset - tile.begin;
    for (std::int64_t j = 0; j < tile.size(); ++j)
      scores[j] -= slope * static_cast<T>(distance < j ? j - distance : distance - j);
  }
}

}  // namespace formwork
