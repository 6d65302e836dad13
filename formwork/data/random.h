// Random numbers that are the same on every machine and depend on nothing but their key.
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

namespace formwork {

// A stream of random numbers for a key such as (seed, step): two keys that differ give unrelated streams, and
// no state need be saved to go on where a run stopped. SplitMix64 (Fast Splittable Pseudorandom Number
// Generators, 2014).
class Random {
 public:
  Random(std::initializer_list<uint64_t> key) {
    for (uint64_t part : key) state_ = mix(state_ ^ mix(part + golden));
  }

  uint64_t next() { return mix(state_ += golden); }

  // Uniform in [0, limit), limit > 0, without bias.
  int64_t below(int64_t limit) {
    const auto range = static_cast<uint64_t>(limit);
    const uint64_t uneven = (0 - range) % range;  // 2^64 mod range
    uint64_t value = next();
    while (value < uneven) value = next();
    return static_cast<int64_t>(value % range);
  }

  // Uniform in [low, high].
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }

  // Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // N(0, 1) (Box and Muller, 1958).
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(static_cast<int64_t>(i))]);
  }

  // 0 .. count-1 in random order.
  std::vector<int64_t> permutation(int64_t count) {
    std::vector<int64_t> order(count);
    std::iota(order.begin(), order.end(), int64_t{0});
    shuffle(order);
    return order;
  }

 private:
  static constexpr uint64_t golden = 0x9E3779B97F4A7C15;
  static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  uint64_t state_ = golden;
};

}  // namespace formwork
