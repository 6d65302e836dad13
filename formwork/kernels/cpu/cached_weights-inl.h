// The scores of a query and a block of 64 keys become weights, block after block, for one SIMD target
// (Highway includes this file once a target).
#if defined(FORMWORK_KERNELS_CPU_CACHED_WEIGHTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_KERNELS_CPU_CACHED_WEIGHTS_INL_H
#undef FORMWORK_KERNELS_CPU_CACHED_WEIGHTS_INL_H
#else
#define FORMWORK_KERNELS_CPU_CACHED_WEIGHTS_INL_H
#endif

#include <algorithm>

#include "formwork/kernels/cpu/cached_attention.h"
#include "formwork/kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// Of the blocks so far: the largest score, and the sum of weights; or the logarithm of what is left of a
// stick.
struct RunningWeights {
  float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
};

// Whether a rule reads the keys from the newest block to the oldest.
inline bool newest_first(ScoreRule rule) { return rule == ScoreRule::stick_breaking; }

// What the sum of weighted values is multiplied by in the end.
inline float share_of(ScoreRule rule, const RunningWeights& running) {
  return rule == ScoreRule::stick_breaking ? 1.0f : 1 / running.sum;
}

// Each of these turns the scores [from, to) of a block into weights and the others into 0, and moves
// `running` on. Output so far is to be multiplied by what it returns.
inline float weigh_softmax(float* scores, std::int64_t from, std::int64_t to, RunningWeights& running) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d);
  std::fill(scores, scores + from, kNothing);
  std::fill(scores + to, scores + kCacheBlock, kNothing);
  auto most = hn::Set(d, kNothing);
  for (std::int64_t j = 0; j < kCacheBlock; j += lanes) most = hn::Max(most, hn::LoadU(d, scores + j));
  const float before = running.maximum, next = std::max(before, hn::GetLane(hn::MaxOfLanes(d, most)));
  const auto shift = hn::Set(d, next == kNothing ? 0.0f : next);
  auto total = hn::Zero(d);
  for (std::int64_t j = 0; j < kCacheBlock; j += lanes) {
    const auto weight = exp_of(d, hn::Sub(hn::LoadU(d, scores + j), shift));
    hn::StoreU(weight, d, scores + j);
    total = hn::Add(total, weight);
  }
  const float shrink = before == next || before == kNothing ? 1.0f : std::exp(before - next);
  running.sum = running.sum * shrink + sum_lanes(d, total);
  running.maximum = next;
  return shrink;
}

inline float weigh_saturated(float* scores, std::int64_t from, std::int64_t to, RunningWeights& running) {
  const float before = running.maximum;
  for (std::int64_t j = from; j < to; ++j) running.maximum = std::max(running.maximum, scores[j]);
  float count = 0;
  for (std::int64_t j = 0; j < kCacheBlock; ++j) {
    const bool best = j >= from && j < to && scores[j] == running.maximum;
    scores[j] = best ? 1.0f : 0.0f;
    count += scores[j];
  }
  const float shrink = before == running.maximum ? 1.0f : 0.0f;
  running.sum = running.sum * shrink + count;
  return shrink;
}

inline float weigh_stick(float* scores, std::int64_t from, std::int64_t to, RunningWeights& running) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d);
  HWY_ALIGN float taken[kCacheBlock];  // -log(1 - sigmoid(l)) = log(1 + e^l)
  std::fill(scores, scores + from, 0.0f);
  std::fill(scores + to, scores + kCacheBlock, 0.0f);
  for (std::int64_t j = 0; j < kCacheBlock; j += lanes) {
    const auto l = hn::LoadU(d, scores + j);
    const auto small = hn::Log1p(d, hn::Exp(d, hn::Neg(hn::Abs(l))));
    hn::StoreU(hn::Add(hn::Max(l, hn::Zero(d)), small), d, taken + j);
  }
  float left = running.sum;
  for (std::int64_t j = to; j-- > from;) {
    scores[j] = scores[j] - taken[j] + left;
    left -= taken[j];
  }
  running.sum = left;
  for (std::int64_t j = 0; j < kCacheBlock; j += lanes)
    hn::StoreU(exp_of(d, hn::LoadU(d, scores + j)), d, scores + j);
  std::fill(scores, scores + from, 0.0f);
  std::fill(scores + to, scores + kCacheBlock, 0.0f);
  return 1;
}

inline float weigh(ScoreRule rule, float* scores, std::int64_t from, std::int64_t to,
                   RunningWeights& running) {
  if (rule == ScoreRule::saturated) return weigh_saturated(scores, from, to, running);
  if (rule == ScoreRule::stick_breaking) return weigh_stick(scores, from, to, running);
  return weigh_softmax(scores, from, to, running);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();
#endif
