// Pairs of neighbouring tokens -> rank of their merge and the token it makes, in one flat table.
#pragma once
#include <cstdint>
#include <vector>

#include "formwork/text/models/hash.h"

namespace formwork {

class MergeTable {
 public:
  static constexpr int32_t none = 0x7FFFFFFF;
  struct Merge {
    int32_t rank = none, joined = -1;
  };

  void reserve(size_t merges) { slots_.resize(table_size(2 * merges + 2)); }

  // A pair that comes twice keeps its last rank.
  void add(int32_t left, int32_t right, Merge merge) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    Slot& slot = const_cast<Slot&>(find_slot(key_of(left, right)));
    if (slot.merge.rank == none) ++count_;
    slot = {key_of(left, right), merge};
  }

  Merge find(int32_t left, int32_t right) const { return find_slot(key_of(left, right)).merge; }

  // Calls visit(left, right, merge) in no particular order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_)
      if (slot.merge.rank != none)
        visit(static_cast<int32_t>(slot.key >> 32), static_cast<int32_t>(slot.key), slot.merge);
  }
  size_t size() const { return count_; }

 private:
  struct Slot {
    uint64_t key = 0;
    Merge merge;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  const Slot& find_slot(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = mix(key ^ key >> 25) & mask;
    while (slots_[at].merge.rank != none && slots_[at].key != key) at = (at + 1) & mask;
    return slots_[at];
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.merge.rank != none) const_cast<Slot&>(find_slot(slot.key)) = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t count_ = 0;
};

}  // namespace formwork
