// The average of the past: y_t = (1 / t) sum_{j<=t} x_j, positions from 1, x [B, T, D].
//
// Causal attention with equal weights; decoding keeps a sum and a count for each row. Sums are float32 at
// least. Source: Accelerating Neural Transformer via an Average Attention Network (Zhang, Xiong and Su,
// 2018).
#include "formwork/mixers/recurrent/recurrent_state.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class AveragePast final : public TokenMixer {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  AveragePast(Build& build, const Options&) : path_(build.path()), width_(build.in.size) {
    if (build.in.name != build.out.name)
      fail("{}: averaging keeps its channels, but reads axis '{}' and writes '{}'", path_, build.in.name,
           build.out.name);
    build.reads_input_directly();
  }

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }

  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    const auto wide = at::TensorOptions(at::promote_types(options.dtype, at::kFloat)).device(options.device);
    return std::make_unique<RecurrentState>(
        std::vector<Tensor>{at::zeros({options.batch, width_}, wide),
                            at::zeros({options.batch}, wide.dtype(at::kLong))},
        options.reversible);
  }

  Tensor append(Context& ctx, const Tensor& x, State* state) override {
    auto& recurrent = static_cast<RecurrentState&>(*state);
    recurrent.check_rows(path_, x);
    const auto sum = recurrent.value(0), count = recurrent.value(1);
    const auto y = averages(x, sum.unsqueeze(1), count.unsqueeze(1));
    const auto keep = ctx.layout ? ctx.layout->keep(x.size(1)) : Tensor();
    const auto real = keep.defined() ? x * keep.unsqueeze(-1).to(x.scalar_type()) : x;
    recurrent.advance({sum + real.sum(at::IntArrayRef{1}, false, sum.scalar_type()),
                       count + (keep.defined() ? keep.sum(1) : at::full_like(count, x.size(1)))});
    return y;
  }

 protected:
  Tensor mix(Context&, const Tensor& x) override { return averages(x, {}, {}); }

 private:
  // After `sum` [B, 1, D] of `count` [B, 1] earlier tokens (undefined: none).
  static Tensor averages(const Tensor& x, const Tensor& sum, const Tensor& count) {
    auto total = x.cumsum(1, at::promote_types(x.scalar_type(), at::kFloat));
    auto seen = at::arange(1, x.size(1) + 1, x.options().dtype(at::kLong)).unsqueeze(0);
    if (sum.defined()) total = total + sum, seen = seen + count;
    return (total / seen.unsqueeze(-1)).to(x.scalar_type());
  }

  std::string path_;
  int64_t width_;
};

FORMWORK_PART(TokenMixer, AveragePast, "average_past", "the running mean of all tokens so far");

}  // namespace
}  // namespace formwork
