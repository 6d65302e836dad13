#include "formwork/kernels/cpu/parallel_pool.h"

namespace formwork {
namespace {

thread_local bool inside_task = false;

}  // namespace

bool ParallelPool::inside() { return inside_task; }

ParallelPool::ParallelPool(std::int64_t threads) {
  for (std::int64_t index = 1; index < threads; ++index)
    workers_.emplace_back([this, index] { work(index); });
}

ParallelPool::~ParallelPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ParallelPool::work(std::int64_t index) {
  inside_task = true;
  std::int64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    start_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) return;
    seen = round_;
    if (index >= count_) continue;
    const auto* task = task_;
    lock.unlock();
    (*task)(index);
    lock.lock();
    if (--pending_ == 0) done_.notify_one();
  }
}

void ParallelPool::run(std::int64_t count, const std::function<void(std::int64_t)>& task) {
  std::unique_lock use(in_use_, std::defer_lock);
  if (inside_task || !use.try_lock()) {
    for (std::int64_t index = 0; index < count; ++index) task(index);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    pending_ = count - 1;
    ++round_;
  }
  start_.notify_all();
  inside_task = true;
  task(0);
  inside_task = false;
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return pending_ == 0; });
}

}  // namespace formwork
