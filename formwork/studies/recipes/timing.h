// Time as recipes measure it: pieces of work in turns, so that the machine's other work falls on all alike.
#pragma once
#include <functional>
#include <vector>

namespace formwork {

// The shortest of `rounds` runs of each, in seconds, after one run of each that is not timed. In every round
// each runs once.
std::vector<double> shortest_seconds(const std::vector<std::function<void()>>& works, int64_t rounds);

}  // namespace formwork
