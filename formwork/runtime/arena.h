// Working memory of a pass. Buffers are taken and given back in the order of a stack, and always hold the
// most rows that a pass may have; so one pass over no rows, before there is any memory, finds how much is
// needed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

namespace formwork::runtime {

// Floats that start on a cache line.
struct FreeFloats {
  void operator()(float* p) const { ::operator delete[](p, std::align_val_t(64)); }
};
using Floats = std::unique_ptr<float[], FreeFloats>;
inline Floats make_floats(int64_t count) {
  return Floats(new (std::align_val_t(64)) float[static_cast<size_t>(count)]);
}

class Arena {
 public:
  explicit Arena(int64_t most_rows) : rows_(most_rows) {}

  int64_t most_rows() const { return rows_; }
  // [most rows, width]; while the need is being measured, a place that must not be touched.
  float* take(int64_t width) {
    const int64_t at = used_;
    used_ += (rows_ * width + 15) / 16 * 16;
    peak_ = std::max(peak_, used_);
    return memory_ ? memory_.get() + at : nowhere();
  }
  // Ends the measuring.
  void allocate() { memory_ = make_floats(peak_); }
  int64_t bytes() const { return memory_ ? peak_ * 4 : 0; }

  // What is taken while a frame stands is given back at its end.
  class Frame {
   public:
    explicit Frame(Arena& arena) : arena_(arena), used_(arena.used_) {}
    ~Frame() { arena_.used_ = used_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Arena& arena_;
    int64_t used_;
  };

 private:
  static float* nowhere() {
    static float place[16];
    return place;
  }
  int64_t rows_, used_ = 0, peak_ = 0;
  Floats memory_;
};

}  // namespace formwork::runtime
