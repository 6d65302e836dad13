#include "formwork/runtime/mixers/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "formwork/core/error.h"

namespace formwork::runtime {
namespace {

int64_t blocks_for(int64_t tokens) { return (tokens + kCacheBlock - 1) / kCacheBlock; }

}  // namespace

KvCache::KvCache(const CacheLayout& layout, int64_t window, const StateOptions& options)
    : layout_(layout),
      window_(window),
      reversible_(options.reversible),
      rows_(static_cast<size_t>(options.rows)) {
  int64_t each = blocks_for(options.capacity);
  for (auto& row : rows_) row.blocks.reserve(static_cast<size_t>(each + 16));
  if (window > 0) each = std::min(each, blocks_for(window + reversible_) + 2);
  if (each > 0) make(each * options.rows);
}

void KvCache::make(int64_t blocks) {
  const auto size = static_cast<size_t>(layout_.bytes());
  // Whole cache lines, so that every block begins on one.
  const size_t step = (size + 63) / 64 * 64;
  memory_.emplace_back(new (std::align_val_t(64)) std::byte[step * static_cast<size_t>(blocks)]);
  made_ += blocks;
  spare_.reserve(static_cast<size_t>(made_));
  for (int64_t i = blocks; i-- > 0;) spare_.push_back(memory_.back().get() + static_cast<size_t>(i) * step);
}

std::byte* KvCache::take() {
  if (spare_.empty()) make(std::max<int64_t>(1, made_ / 2));
  std::byte* block = spare_.back();
  spare_.pop_back();
  return block;
}

void KvCache::give_back(Row& row, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i)
    if (auto& block = row.blocks[static_cast<size_t>(i)]) spare_.push_back(std::exchange(block, nullptr));
}

void KvCache::reserve(int64_t index, int64_t tokens) {
  Row& row = rows_[static_cast<size_t>(index)];
  const auto present = static_cast<int64_t>(row.blocks.size());
  const int64_t wanted = blocks_for(tokens);
  if (window_ > 0 && present > 0) {
    // The block that is being filled began at most 64 tokens ago.
    const int64_t oldest = (present - 1) * kCacheBlock - window_ - reversible_;
    const int64_t forget = std::clamp<int64_t>(oldest / kCacheBlock, row.kept, present);
    give_back(row, row.kept, forget);
    row.kept = forget;
  }
  for (int64_t i = present; i < wanted; ++i) row.blocks.push_back(take());
}

void KvCache::truncate(int64_t index, int64_t tokens) {
  Row& row = rows_[static_cast<size_t>(index)];
  const int64_t left = blocks_for(tokens),
                seen = window_ > 0 ? std::max<int64_t>(0, tokens - window_ + 1) : 0;
  if (tokens == 0) row.kept = 0;
  if (row.kept > 0 && seen / kCacheBlock < row.kept)
    fail("key-value cache: {} tokens are too far back for a window of {} with {} kept (raise 'reversible')",
         tokens, window_, reversible_);
  if (left >= static_cast<int64_t>(row.blocks.size())) return;
  give_back(row, left, static_cast<int64_t>(row.blocks.size()));
  row.blocks.resize(static_cast<size_t>(left));
}

void KvCache::copy_blocks(const Row& from, Row& to) {
  to.kept = from.kept;
  to.blocks.reserve(from.blocks.capacity());
  for (const std::byte* block : from.blocks) {
    to.blocks.push_back(block ? take() : nullptr);
    if (block) std::memcpy(to.blocks.back(), block, static_cast<size_t>(layout_.bytes()));
  }
}

void KvCache::select(const std::vector<int64_t>& rows) {
  std::vector<Row> before = std::move(rows_);
  rows_ = std::vector<Row>(rows.size());
  std::vector<int64_t> uses(before.size());
  for (const int64_t row : rows) ++uses[static_cast<size_t>(row)];
  for (size_t i = 0; i < before.size(); ++i)
    if (uses[i] == 0) give_back(before[i], 0, static_cast<int64_t>(before[i].blocks.size()));
  // The last that asks for a sequence takes it over.
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto from = static_cast<size_t>(rows[i]);
    if (--uses[from] == 0)
      rows_[i] = std::move(before[from]);
    else
      copy_blocks(before[from], rows_[i]);
  }
}

}  // namespace formwork::runtime
