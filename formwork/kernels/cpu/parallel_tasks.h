// Many small tasks on memory, as neighbours as possible: each thread begins with a run of its own, so that
// what it fetched ahead is its own next task, and then helps the others. Threads that share a core, or have
// lost theirs to another process for a while, would otherwise keep the rest waiting.
#pragma once
#include <algorithm>
#include <atomic>

#include "formwork/kernels/cpu/parallel.h"

namespace formwork {

// Threads that share out tasks; more would only wait for memory. Their runs stand on the stack.
inline constexpr std::int64_t kMostTaskThreads = 256;

// Calls fn(i) once for each i in [0, count), several at once.
template <class F>
void parallel_tasks(std::int64_t count, const F& fn) {
  struct alignas(64) Run {
    std::atomic<std::int64_t> next;
    std::int64_t end;
  };
  const std::int64_t threads = std::min({count, parallel_threads(), kMostTaskThreads});
  if (threads <= 1) {
    for (std::int64_t i = 0; i < count; ++i) fn(i);
    return;
  }
  Run runs[kMostTaskThreads];
  for (std::int64_t t = 0; t < threads; ++t)
    runs[t].next = count * t / threads, runs[t].end = count * (t + 1) / threads;
  parallel_for(0, threads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t)
      for (std::int64_t s = 0; s < threads; ++s) {
        Run& run = runs[(t + s) % threads];
        for (std::int64_t i = run.next++; i < run.end; i = run.next++) fn(i);
      }
  });
}

}  // namespace formwork
