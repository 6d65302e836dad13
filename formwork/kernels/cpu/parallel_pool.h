// A small persistent pool of threads, for processes that bring no OpenMP runtime.
#pragma once
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

  std::vector<std::thread> workers_;
  std::mutex in_use_, mutex_;
  std::condition_variable start_, done_;
  const std::function<void(std::int64_t)>* task_ = nullptr;
  std::int64_t count_ = 0, pending_ = 0, round_ = 0;
  bool stop_ = false;
};

}  // namespace formwork
