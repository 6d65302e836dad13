// Tasks that threads take in turn. Where reading memory is the time it takes, threads progress unevenly (they
// share a core, or another process has one of them), and equal shares would wait for the slowest.
#pragma once
#include <algorithm>
#include <atomic>

#include "formwork/kernels/cpu/parallel.h"

namespace formwork {

// Calls fn(i) once for each i in [0, count), several at once, in no fixed order.
template <class F>
void parallel_tasks(std::int64_t count, const F& fn) {
  std::atomic<std::int64_t> next{0};
  parallel_for(0, std::min(count, parallel_threads()), 1, [&](std::int64_t, std::int64_t) {
    for (std::int64_t i = next++; i < count; i = next++) fn(i);
  });
}

}  // namespace formwork
