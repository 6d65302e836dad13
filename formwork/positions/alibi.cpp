// ALiBi (Press et al., "Train Short, Test Long", 2021): a penalty -slope_h |i - j| on each score.
#include "formwork/positions/position.h"

namespace formwork {
namespace {

// 2^(-8k/n), k = 1 .. n, for n a power of two; other counts take the slopes of the power of two below and
// then every second one of the power of two above.
std::vector<double> alibi_slopes(int64_t heads) {
  int64_t power = 1;
  while (2 * power <= heads) power *= 2;
  std::vector<double> slopes;
  const auto add = [&](int64_t count, int64_t first, int64_t step) {
    for (int64_t k = first; k <= count && static_cast<int64_t>(slopes.size()) < heads; k += step)
      slopes.push_back(std::exp2(-8.0 * static_cast<double>(k) / static_cast<double>(count)));
  };
  add(power, 1, 1);
  add(2 * power, 1, 2);
  return slopes;
}

class AlibiPosition final : public Position {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  AlibiPosition(Build& build, const Options&) {
    Rule rule;
    rule.frozen = rule.keep_dtype = true;
    rule.decay = false;
    rule.init = {"alibi", [](Tensor& t, at::Generator) { t.copy_(at::tensor(alibi_slopes(t.size(0)))); }};
    slopes_ = build.param("slopes", {Dim::product(build.heads)}, rule);
  }

  bool biases() const override { return true; }
  bool biases_by_distance() const override { return true; }
  Tensor slopes(Context& ctx) override { return ctx.value(*slopes_); }
  Tensor bias_at(Context& ctx, const Tensor& distances) override {
    return distances.abs().unsqueeze(-1) * slopes(ctx).neg();
  }

 private:
  Param* slopes_;
};

FORMWORK_PART(Position, AlibiPosition, "alibi",
              "scores fall linearly with distance, by a fixed slope a head");

}  // namespace
}  // namespace formwork
