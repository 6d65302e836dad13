// Working memory that a thread keeps from call to call.
#pragma once
#include <cstdint>
#include <vector>

namespace formwork {

template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t elements) {
    const auto needed = static_cast<std::size_t>(elements + 2 * kLine);
    if (memory().size() < needed) memory().resize(needed);
    const auto address = reinterpret_cast<std::uintptr_t>(memory().data());
    next_ = memory().data() + (64 - address % 64) % 64 / sizeof(T);
  }

  // A block that starts on a cache line; blocks are not cleared. Ask the constructor for size(n) in all.
  T* take(std::int64_t n) {
    T* block = next_;
    next_ += size(n);
    return block;
  }
  static std::int64_t size(std::int64_t n) { return (n + kLine - 1) / kLine * kLine; }

 private:
  static constexpr std::int64_t kLine = 64 / sizeof(T);
  static std::vector<T>& memory() {
    thread_local std::vector<T> kept;
    return kept;
  }
  T* next_;
};

}  // namespace formwork
