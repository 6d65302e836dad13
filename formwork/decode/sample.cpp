// Draws from the next-token distribution, reshaped in this order:
//   repetition  a token that was written already: logit / r where positive, logit * r where negative
//               (Keskar et al., 2019, CTRL)
//   temperature p_i ~ exp(logit_i / t)
//   top_k       the k most probable tokens alone (Fan et al., 2018)
//   top_p       the smallest set of most probable tokens that holds at least p (Holtzman et al., 2020)
//   min_p       the tokens with at least min_p times the greatest probability (Nguyen et al., 2024)
// A row's draws depend on the seed, its place and the step alone, not on its neighbours.
#include "formwork/core/random.h"
#include "formwork/decode/decode_strategy.h"
#include "formwork/decode/sample_options.h"

namespace formwork {
namespace {

class Sample final : public TokenByToken {
 public:
  using Options = SampleOptions;
  explicit Sample(const Options& options) : options_(options) {}
  bool draws() const override { return true; }

  Tensor choose(const Step& step) const override;

 private:
  Tensor penalized(const Step& step) const;
  Tensor distribution(const Tensor& sorted) const;  // of logits [B, V] in descending order
  Options options_;
};

Tensor Sample::penalized(const Step& step) const {
  if (options_.repetition == 1) return step.logits;
  auto logits = step.logits.clone();
  for (size_t i = 0; i < step.rows.size(); ++i) {
    auto row = logits[static_cast<int64_t>(i)];
    const auto seen = at::tensor(step.written[static_cast<size_t>(step.rows[i])], at::kLong);
    const auto old = row.index_select(0, seen);
    row.index_copy_(0, seen, at::where(old > 0, old / options_.repetition, old * options_.repetition));
  }
  return logits;
}

// What is left out gets probability 0; the most probable token always stays.
Tensor Sample::distribution(const Tensor& sorted) const {
  auto p = (sorted / options_.temperature).softmax(-1);
  if (options_.top_k > 0 && options_.top_k < p.size(1)) p.slice(1, options_.top_k).zero_();
  if (options_.top_p < 1) {
    p = p / p.sum(1, true);
    p = p.masked_fill(p.cumsum(1) - p >= options_.top_p, 0);
  }
  if (options_.min_p > 0) p = p.masked_fill(p < options_.min_p * p.slice(1, 0, 1), 0);
  return p;
}

Tensor Sample::choose(const Step& step) const {
  const auto [sorted, order] = penalized(step).to(at::kDouble).sort(true, 1, true);
  const auto sums = distribution(sorted).cumsum(1);
  auto level = at::empty({sums.size(0), 1}, at::kDouble);
  for (size_t i = 0; i < step.rows.size(); ++i) {
    const auto name = fmt::format("decode.sample.{}", step.rows[i]);
    level[static_cast<int64_t>(i)] = at::rand({1}, make_stream(step.seed, name, step.index), at::kDouble);
  }
  const auto drawn = at::searchsorted(sums, level * sums.slice(1, -1), false, true);
  return order.gather(1, drawn.clamp_max(sums.size(1) - 1)).squeeze(1);
}

FORMWORK_PART(DecodeStrategy, Sample, "sample",
              "draws: temperature, top-k, top-p, min-p, repetition penalty");

}  // namespace
}  // namespace formwork
