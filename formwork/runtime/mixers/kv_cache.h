// The keys and values of each sequence, in blocks of 64 tokens. Sequences have lengths of their own; a block
// that is given back serves again.
#pragma once
#include <new>

#include "formwork/kernels/cpu/cached_attention.h"
#include "formwork/runtime/state.h"

namespace formwork::runtime {

class KvCache final : public State {
 public:
  // `window`: keys that a query sees, 0: all. Blocks that no query can see any more are given back, save
  // those that the last `reversible` tokens saw.
  KvCache(const CacheLayout& layout, int64_t window, const StateOptions& options);

  void select(const std::vector<int64_t>& rows) override;
  void truncate(int64_t row, int64_t tokens) override;
  int64_t bytes() const override { return made_ * layout_.bytes(); }

  // Makes room for tokens up to `tokens` of a sequence.
  void reserve(int64_t row, int64_t tokens);
  const CacheLayout& layout() const { return layout_; }
  // Of the tokens 0 .. 63, 64 .. 127, ..; null where they are forgotten.
  const std::byte* const* blocks(int64_t row) const { return rows_[static_cast<size_t>(row)].blocks.data(); }
  std::byte* block_of(int64_t row, int64_t token) {
    return rows_[static_cast<size_t>(row)].blocks[static_cast<size_t>(token / kCacheBlock)];
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  struct Row {
    std::vector<std::byte*> blocks;
    int64_t kept = 0;  // leading blocks that are forgotten
  };
  std::byte* take();
  void make(int64_t blocks);
  void give_back(Row& row, int64_t first, int64_t last);
  void copy_blocks(const Row& from, Row& to);

  CacheLayout layout_;
  int64_t window_, reversible_, made_ = 0;
  std::vector<std::unique_ptr<std::byte[], Free>> memory_;
  std::vector<std::byte*> spare_;
  std::vector<Row> rows_;
};

}  // namespace formwork::runtime
