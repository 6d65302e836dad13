// The most memory that tensors held at once in a scope, counted by LibTorch's CPU allocator.
#pragma once
#include <cstdint>
#include <memory>

namespace formwork {

// Counts what this thread allocates and frees, a backward pass on the CPU included, while it lives. Memory
// that was there before counts as nothing, and freeing it as less.
class TensorPeak {
 public:
  TensorPeak();
  ~TensorPeak();
  TensorPeak(const TensorPeak&) = delete;
  TensorPeak& operator=(const TensorPeak&) = delete;
  int64_t bytes() const;
  // What they hold now.
  int64_t held() const;

 private:
  struct Counter;
  struct Scope;
  std::shared_ptr<Counter> counter_;
  std::unique_ptr<Scope> scope_;
};

}  // namespace formwork
