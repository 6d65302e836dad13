#include "formwork/studies/recipes/timing.h"

#include <chrono>
#include <limits>

namespace formwork {

std::vector<double> shortest_seconds(const std::vector<std::function<void()>>& works, int64_t rounds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> shortest(works.size(), std::numeric_limits<double>::infinity());
  for (const auto& work : works) work();
  for (int64_t round = 0; round < rounds; ++round)
    for (size_t i = 0; i < works.size(); ++i) {
      const auto start = Clock::now();
      works[i]();
      shortest[i] = std::min(shortest[i], std::chrono::duration<double>(Clock::now() - start).count());
    }
  return shortest;
}

}  // namespace formwork
