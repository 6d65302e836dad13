// No position, ALiBi's slopes and T5's buckets, inside attention.
#include <algorithm>
#include <cmath>

#include "formwork/positions/position_options.h"
#include "formwork/runtime/positions/mixer_position.h"

namespace formwork::runtime {
namespace {

std::vector<int64_t> sizes_of(const std::vector<Axis>& heads) { return {Dim::product(heads).size()}; }

class None final : public MixerPosition {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  None(Scope&, const Options&) {}
};

class Alibi final : public MixerPosition {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Alibi(Scope& scope, const Options&) : slopes_(scope.floats("slopes", sizes_of(scope.heads))) {}
  const float* slopes() const override { return slopes_; }

 private:
  const float* slopes_;
};

// The bucket of a distance to an earlier key: half of them hold one distance each, the others grow
// logarithmically.
int64_t causal_bucket(int64_t distance, const T5PositionOptions& options) {
  const int64_t exact = options.buckets / 2;
  if (distance < exact) return distance;
  const double scale = static_cast<double>(options.buckets - exact) /
                       std::log(static_cast<double>(options.max_distance) / static_cast<double>(exact));
  const float ratio = static_cast<float>(distance) / static_cast<float>(exact);
  const auto coarse = exact + static_cast<int64_t>(std::log(ratio) * static_cast<float>(scale));
  return std::min(coarse, options.buckets - 1);
}

class T5 final : public MixerPosition {
 public:
  using Options = T5PositionOptions;

  T5(Scope& scope, const Options& options) : reach_(options.max_distance + 1) {
    constexpr int64_t kMost = 1 << 16;
    if (options.max_distance <= options.buckets / 2)
      fail("{}: max_distance {} must exceed the {} distances that have a bucket each", scope.path(),
           options.max_distance, options.buckets / 2);
    if (reach_ > kMost)
      fail("{}: the runtime form of 't5' takes a max_distance up to {}, found {}", scope.path(), kMost,
           options.max_distance);
    const int64_t heads = Dim::product(scope.heads).size();
    const Axis buckets = scope.axis("buckets", options.buckets);
    const float* table = scope.floats("weight", {buckets.size, heads});
    bias_.resize(static_cast<size_t>(heads * reach_));
    for (int64_t distance = 0; distance < reach_; ++distance)
      for (int64_t h = 0; h < heads; ++h)
        bias_[static_cast<size_t>(h * reach_ + distance)] =
            table[causal_bucket(distance, options) * heads + h];
  }
  const float* bias() const override { return bias_.data(); }
  int64_t reach() const override { return reach_; }

 private:
  int64_t reach_;
  std::vector<float> bias_;
};

FORMWORK_PART(MixerPosition, None, "none", "no position");
FORMWORK_PART(MixerPosition, Alibi, "alibi", "scores fall linearly with distance");
FORMWORK_PART(MixerPosition, T5, "t5", "a learned bias for each head and bucket of the distance");

}  // namespace
}  // namespace formwork::runtime
