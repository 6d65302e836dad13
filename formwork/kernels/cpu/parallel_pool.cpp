#include "formwork/kernels/cpu/parallel_pool.h"

namespace formwork {
namespace {

thread_local bool inside_task = false;

// About 50 microseconds; a thread that shares its core gives the other way meanwhile.
constexpr int kSpins = 1500;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Whether `done` came true while spinning.
template <class Done>
bool spin_until(const Done& done) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (done()) return true;
    pause_briefly();
  }
  return done();
}

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

void ParallelPool::await_round(std::int64_t seen) {
  const auto called = [&] { return round_ != seen || stop_; };
  if (spin_until(called)) return;
  std::unique_lock lock(mutex_);
  ++sleepers_;
  start_.wait(lock, called);
  --sleepers_;
}

void ParallelPool::await_workers() {
  const auto done = [&] { return pending_ == 0; };
  if (spin_until(done)) return;
  std::unique_lock lock(mutex_);
  waiting_ = true;
  done_.wait(lock, done);
  waiting_ = false;
}

void ParallelPool::work(std::int64_t index) {
  inside_task = true;
  std::int64_t seen = 0;
  while (true) {
    await_round(seen);
    if (stop_) return;
    ++seen;
    if (index < count_) (*task_)(index);
    if (--pending_ == 0 && waiting_) {
      const std::lock_guard lock(mutex_);
      done_.notify_one();
    }
  }
}

void ParallelPool::run(std::int64_t count, const std::function<void(std::int64_t)>& task) {
  std::unique_lock use(in_use_, std::defer_lock);
  if (inside_task || !use.try_lock()) {
    for (std::int64_t index = 0; index < count; ++index) task(index);
    return;
  }
  task_ = &task;
  count_ = count;
  pending_ = static_cast<std::int64_t>(workers_.size());
  ++round_;
  if (sleepers_ > 0) {
    // Who is about to sleep holds the lock until it does.
    { const std::lock_guard lock(mutex_); }
    start_.notify_all();
  }
  inside_task = true;
  task(0);
  inside_task = false;
  await_workers();
}

}  // namespace formwork
