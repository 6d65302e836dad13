// The tokens of a model: text <-> id. All texts lie in one block of memory.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

class Vocabulary {
 public:
  // Room for tokens of `bytes` bytes in all.
  void reserve(size_t tokens, size_t bytes);

  // Ids may come in any order and leave holes, but not larger than a file of this many tokens justifies.
  // Throws Error, starting with `where`, for an id out of range or one that already has another text. A text
  // that comes twice is found by its last id.
  void add(int64_t id, std::string_view text, std::string_view where);

  int32_t find(std::string_view text) const;  // -1 when there is none
  std::string_view text(int64_t id) const;    // empty for a hole
  bool has(int64_t id) const;
  int64_t size() const { return static_cast<int64_t>(spans_.size()); }  // 1 + the largest id
  size_t count() const { return count_; }

 private:
  struct Span {
    uint32_t start = 0, length = hole;
  };
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
  };
  static constexpr uint32_t hole = 0xFFFFFFFF;
  Slot& slot_of(std::string_view text, uint64_t hash);
  void grow();

  std::string block_;
  std::vector<Span> spans_;
  std::vector<Slot> slots_;
  size_t count_ = 0, expected_ = 0;
};

}  // namespace formwork
