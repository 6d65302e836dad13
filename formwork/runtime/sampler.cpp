#include "formwork/runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "formwork/core/name_hash.h"

namespace formwork::runtime {
namespace {

// Uniform in [0, 1), 53 bits: what at::rand of one double gives for the stream of that name.
double level_of(uint64_t seed, int64_t row, uint64_t step) {
  const auto stream = mix(hash_name(fmt::format("decode.sample.{}", row), seed), step);
  std::mt19937 engine(static_cast<uint32_t>(stream));
  const uint64_t high = engine(), low = engine();
  return static_cast<double>((high << 32 | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

// Whether a comes after b: less probable, or as probable with a later token.
constexpr auto kLater = [](const auto& a, const auto& b) {
  return a.weight < b.weight || (a.weight == b.weight && a.token > b.token);
};

}  // namespace

int64_t greedy(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

void Sampler::weigh(std::span<const float> logits, std::span<const int64_t> written) {
  values_.assign(logits.begin(), logits.end());
  if (options_.repetition != 1)
    for (const int64_t token : written) {
      // Once, however often it was written.
      const double old = logits[static_cast<size_t>(token)];
      const auto times = static_cast<float>(options_.repetition);
      values_[static_cast<size_t>(token)] =
          old > 0 ? static_cast<float>(old) / times : static_cast<float>(old) * times;
    }
  const double most = *std::max_element(values_.begin(), values_.end());
  heap_.resize(values_.size());
  for (size_t i = 0; i < values_.size(); ++i)
    heap_[i] = {std::exp((values_[i] - most) / options_.temperature), static_cast<int64_t>(i)};
  left_ = heap_.size();
  std::make_heap(heap_.begin(), heap_.end(), kLater);
}

// Moves the most probable candidate that is left behind the others.
const Sampler::Candidate& Sampler::pop() {
  std::pop_heap(heap_.begin(), heap_.begin() + static_cast<std::ptrdiff_t>(left_), kLater);
  return heap_[--left_];
}

// The weight of what top_k leaves.
double Sampler::keep_top() {
  const auto all = heap_.size();
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < all) {
    double total = 0;
    for (int64_t i = 0; i < options_.top_k; ++i) total += pop().weight;
    return total;
  }
  double total = 0;
  for (const auto& candidate : heap_) total += candidate.weight;
  return total;
}

// Whether top_p and min_p leave the candidate `index`, before which stand candidates of the weight `before`.
bool Sampler::kept(size_t index, double before, double total) const {
  if (index == 0) return true;
  const double weight = heap_[heap_.size() - 1 - index].weight, best = heap_.back().weight;
  return before < options_.top_p * total && weight >= options_.min_p * best;
}

int64_t Sampler::draw(std::span<const float> logits, std::span<const int64_t> written, uint64_t seed,
                      int64_t row, uint64_t step) {
  weigh(logits, written);
  double total = keep_top();
  size_t most = left_ < heap_.size() ? heap_.size() - left_ : heap_.size();
  const auto candidate = [&](size_t index) -> const Candidate& {
    while (heap_.size() - left_ <= index) pop();
    return heap_[heap_.size() - 1 - index];
  };
  if (options_.top_p < 1 || options_.min_p > 0) {
    double before = 0;
    size_t count = 0;
    for (; count < most; ++count) {
      const double weight = candidate(count).weight;
      if (!kept(count, before, total)) break;
      before += weight;
    }
    most = count, total = before;
  }
  const double level = level_of(seed, row, step) * total;
  double sum = 0;
  for (size_t i = 0; i + 1 < most; ++i) {
    sum += candidate(i).weight;
    if (sum > level) return candidate(i).token;
  }
  return candidate(most - 1).token;
}

}  // namespace formwork::runtime
