#include "formwork/kernels/cpu/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "formwork/kernels/cpu/parallel_pool.h"

// GNU OpenMP's entry points, as its compilers call them. They are weak: absent in a process without OpenMP.
// (LibTorch's at::parallel_for is a header that falls silent without -fopenmp, and clang's -fopenmp would
// load a second runtime.)
extern "C" {
__attribute__((weak)) void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned);
__attribute__((weak)) int omp_get_max_threads();
__attribute__((weak)) int omp_get_thread_num();
__attribute__((weak)) int omp_get_num_threads();
__attribute__((weak)) int omp_in_parallel();
__attribute__((weak)) void omp_set_num_threads(int);
}

namespace formwork {
namespace {

// One loop, shared by the threads that run it.
struct Loop {
  RangeFunction fn;
  std::int64_t begin, end, chunk;
  std::exception_ptr error;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;

  void run(std::int64_t index) {
    const std::int64_t first = begin + index * chunk, last = std::min(end, first + chunk);
    if (first >= last) return;
    try {
      fn(first, last);
    } catch (...) {
      if (!failed.test_and_set()) error = std::current_exception();
    }
  }
};

bool has_openmp() {
  return GOMP_parallel && omp_get_max_threads && omp_get_thread_num && omp_get_num_threads && omp_in_parallel;
}

std::atomic<std::int64_t> pool_threads{0};  // 0: as many as the processor has

ParallelPool& pool() {
  static ParallelPool instance(pool_threads > 0 ? pool_threads.load()
                                                : std::max(1u, std::thread::hardware_concurrency()));
  return instance;
}

// The runtime may grant fewer threads than asked for, so each takes every n-th chunk.
void openmp_body(void* data) {
  auto& [loop, chunks] = *static_cast<std::pair<Loop*, std::int64_t>*>(data);
  for (std::int64_t i = omp_get_thread_num(); i < chunks; i += omp_get_num_threads()) loop->run(i);
}

}  // namespace

void set_parallel_threads(std::int64_t threads) {
  pool_threads = std::max<std::int64_t>(1, threads);
  if (omp_set_num_threads) omp_set_num_threads(static_cast<int>(pool_threads));
}

std::int64_t parallel_threads() {
  if (has_openmp()) return omp_in_parallel() ? 1 : omp_get_max_threads();
  return ParallelPool::inside() ? 1 : pool().threads();
}

void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, RangeFunction fn) {
  if (begin >= end) return;
  const std::int64_t items = end - begin, least = std::max<std::int64_t>(1, grain);
  const std::int64_t chunks = items <= least ? 1 : std::min(parallel_threads(), items / least);
  if (chunks <= 1) return fn(begin, end);
  Loop loop{fn, begin, end, (items + chunks - 1) / chunks, nullptr};
  if (has_openmp()) {
    std::pair<Loop*, std::int64_t> data{&loop, chunks};
    GOMP_parallel(openmp_body, &data, static_cast<unsigned>(chunks), 0);
  } else {
    pool().run(chunks, [&](std::int64_t index) { loop.run(index); });
  }
  if (loop.error) std::rethrow_exception(loop.error);
}

}  // namespace formwork
