// Remembers the ids of words that came before. Bounded: a full cache starts afresh.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/models/hash.h"

namespace formwork {

class WordCache {
 public:
  static constexpr size_t longest = 48;  // bytes of a word that is kept

  // Appends the ids of `word` to `ids`, from memory or by calling encode(), which appends them.
  template <class Encode>
  void encode(std::string_view word, std::vector<int32_t>& ids, Encode&& encode_word) {
    if (word.size() > longest) return encode_word();
    const uint64_t hash = hash_bytes(word);
    size_t at = hash & (slots - 1);
    for (; table_[at].size != 0; at = (at + 1) & (slots - 1)) {
      const Slot& slot = table_[at];
      if (slot.hash != static_cast<uint32_t>(hash >> 32) || slot.size != word.size() ||
          std::memcmp(texts_.data() + slot.text, word.data(), word.size()) != 0)
        continue;
      ids.insert(ids.end(), kept_.begin() + slot.first, kept_.begin() + slot.first + slot.count);
      return;
    }
    const size_t before = ids.size();
    encode_word();
    if (word.empty()) return;
    if (used_ >= slots / 2 || kept_.size() > most_ids) {
      clear();
      at = hash & (slots - 1);
    }
    table_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(texts_.size()),
                  static_cast<uint32_t>(kept_.size()), static_cast<uint16_t>(word.size()),
                  static_cast<uint16_t>(ids.size() - before)};
    texts_ += word;
    kept_.insert(kept_.end(), ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end());
    ++used_;
  }

 private:
  static constexpr size_t slots = 1 << 16, most_ids = 1 << 19;
  struct Slot {
    uint32_t hash = 0, text = 0, first = 0;
    uint16_t size = 0, count = 0;
  };
  void clear() {
    table_.assign(slots, Slot());
    texts_.clear();
    kept_.clear();
    used_ = 0;
  }

  std::vector<Slot> table_ = std::vector<Slot>(slots);
  std::string texts_;
  std::vector<int32_t> kept_;
  size_t used_ = 0;
};

}  // namespace formwork
