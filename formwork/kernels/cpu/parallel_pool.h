// A small persistent pool of threads, for processes that bring no OpenMP runtime. Its threads stay awake for
// a while after each loop, since a step of decoding is a hundred short ones.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace formwork {

class ParallelPool {
 public:
  explicit ParallelPool(std::int64_t threads);
  ~ParallelPool();
  std::int64_t threads() const { return static_cast<std::int64_t>(workers_.size()) + 1; }
  // Runs task(0) ... task(count - 1), count <= threads(); task(0) runs on the calling thread. A call made
  // while another is under way runs all its tasks on its own thread. The tasks must not throw.
  void run(std::int64_t count, const std::function<void(std::int64_t)>& task);
  // Whether this thread is running a task of any pool.
  static bool inside();

 private:
  void work(std::int64_t index);
  void await_round(std::int64_t seen);
  void await_workers();

  std::vector<std::thread> workers_;
  std::mutex in_use_, mutex_;
  std::condition_variable start_, done_;
  const std::function<void(std::int64_t)>* task_ = nullptr;
  std::int64_t count_ = 0;
  // Every worker answers every round, so that what a round is may be written without a lock between two.
  std::atomic<std::int64_t> round_{0}, pending_{0}, sleepers_{0};
  std::atomic<bool> waiting_{false}, stop_{false};
};

}  // namespace formwork
