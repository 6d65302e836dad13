// Relative position buckets (Raffel et al., "Exploring the Limits of Transfer Learning with a Unified
// Text-to-Text Transformer", 2020): a learned bias for each head and bucket of the distance j - i. Half of
// the buckets hold one distance each, the others grow logarithmically up to max_distance.
//
// Layers share one table by the Spec: "sources": {"layers.*.mixer.position.weight": {"type": "shared",
// "with": "layers.0.mixer.position.weight"}}.
#include "formwork/positions/position.h"
#include "formwork/positions/position_options.h"

namespace formwork {
namespace {

// distance = key - query, int64 -> bucket of the same shape, in [0, buckets).
Tensor bucket_of(const Tensor& distance, int64_t buckets, int64_t max_distance, bool causal) {
  Tensor base, far;
  if (causal) {
    base = at::zeros_like(distance), far = distance.neg().clamp_min(0);
  } else {
    buckets /= 2;
    base = distance.gt(0).to(at::kLong) * buckets, far = distance.abs();
  }
  const int64_t exact = buckets / 2;
  const double scale = static_cast<double>(buckets - exact) /
                       std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const auto ratio = far.to(at::kFloat) / static_cast<double>(exact);
  const auto coarse = (exact + (ratio.log() * scale).to(at::kLong)).clamp_max(buckets - 1);
  return base + at::where(far < exact, far, coarse);
}

class T5Position final : public Position {
 public:
  using Options = T5PositionOptions;

  T5Position(Build& build, const Options& options) : options_(options), causal_(build.causal) {
    if (options.max_distance <= options.buckets / (causal_ ? 2 : 4))
      fail("{}: max_distance {} must exceed the {} distances that have a bucket each", build.path(),
           options.max_distance, options.buckets / (causal_ ? 2 : 4));
    Rule rule;
    rule.init = init::normal(options.std);
    rule.decay = false;
    const Axis buckets = build.axis("buckets", options.buckets, Group::none);
    table_ = build.param("weight", {buckets, Dim::product(build.heads)}, rule);
    if (table_->name == build.name("weight")) return;
    // Heads of layers that share a table cannot be cut apart.
    for (const auto& axis : build.heads)
      build.restrict(axis, Group::none, "shares the table " + table_->name);
    for (const auto& axis : table_->dims[1].segments[0])
      build.restrict(axis, Group::none, "shares its table with " + build.path());
  }

  bool biases() const override { return true; }
  bool biases_by_distance() const override { return true; }
  Tensor bias_at(Context& ctx, const Tensor& distances) override {
    return at::embedding(ctx.value(*table_),
                         bucket_of(distances, options_.buckets, options_.max_distance, causal_));
  }

 private:
  Options options_;
  bool causal_;
  Param* table_;
};

FORMWORK_PART(Position, T5Position, "t5", "a learned bias for each head and bucket of the distance");

}  // namespace
}  // namespace formwork
