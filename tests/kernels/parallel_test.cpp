#include "formwork/kernels/cpu/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "formwork/kernels/cpu/parallel_pool.h"
#include "formwork/kernels/cpu/parallel_tasks.h"

namespace formwork {

TEST(Parallel, CoversEveryItemOnceOnTheThreadsThatWereAskedFor) {
  const int before = at::get_num_threads();
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    EXPECT_EQ(parallel_threads(), threads);
    for (std::int64_t items : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> seen(100);
      std::atomic<int> calls{0};
      parallel_for(0, items, 1, [&](std::int64_t first, std::int64_t last) {
        ++calls;
        for (auto i = first; i < last; ++i) ++seen[i];
      });
      for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i < items ? 1 : 0);
      EXPECT_LE(calls, threads);
      if (items == 100) EXPECT_EQ(calls, threads);
    }
  }
  at::set_num_threads(before);
}

TEST(Parallel, TakesEveryTaskOnceHoweverUnevenTheThreads) {
  const int before = at::get_num_threads();
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (std::int64_t tasks : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> seen(100);
      parallel_tasks(tasks, [&](std::int64_t i) {
        if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        ++seen[i];
      });
      for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i < tasks ? 1 : 0);
    }
  }
  at::set_num_threads(before);
}

TEST(Parallel, RunsNestedLoopsOnOneThreadAndKeepsSmallOnesWhole) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  parallel_for(0, 2, 1, [](std::int64_t, std::int64_t) { EXPECT_EQ(parallel_threads(), 1); });
  int calls = 0;
  parallel_for(0, 10, 10, [&](std::int64_t, std::int64_t) { ++calls; });
  EXPECT_EQ(calls, 1);
  at::set_num_threads(before);
}

TEST(Parallel, HandsOnTheFirstException) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  EXPECT_THROW(
      parallel_for(0, 8, 1, [](std::int64_t, std::int64_t) { throw std::runtime_error("from a thread"); }),
      std::runtime_error);
  at::set_num_threads(before);
}

TEST(ParallelPool, RunsEveryTaskOnceAndNestsSerially) {
  ParallelPool pool(3);
  EXPECT_EQ(pool.threads(), 3);
  std::atomic<int> total{0}, inner{0};
  for (int round = 0; round < 200; ++round) {
    pool.run(1 + round % 3, [&](std::int64_t index) {
      total += static_cast<int>(index) + 1;
      if (round == 0) pool.run(3, [&](std::int64_t) { ++inner; });
      EXPECT_TRUE(ParallelPool::inside());
    });
  }
  EXPECT_EQ(inner, 3);
  EXPECT_EQ(total, 67 * 1 + 67 * 3 + 66 * 6);
  EXPECT_FALSE(ParallelPool::inside());
}

}  // namespace formwork
