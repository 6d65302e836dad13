// Low-rank linear map (the LED unit of Greenformers, Cahyawijaya, 2021): y = (x A^T) B^T + b, A [r, in],
// B [out, r]; r (in + out) + out parameters, so worth it when r < in out / (in + out).
//
// The factors are linear maps themselves, "<path>.a" and "<path>.b".
#include "formwork/linear/nested.h"

namespace formwork {
namespace {

class LowRank final : public LinearMap {
 public:
  struct Options {
    int64_t rank = 8;
    void describe(Fields& f) { f.integer("rank", rank, "inner width", 1); }
  };

  LowRank(Build& build, const LinearNeed& need, const Options& options) : LinearMap(build, need) {
    const Axis rank = build.axis("rank", options.rank);
    LinearNeed first = need, second = need;
    first.bias = second.bias = false;
    first.init = second.init = init::fan_in_uniform();
    first.out = rank, first.input = input_tap();
    a_ = make_nested(build, "a", first);
    second.in = rank, second.input = a_->output_tap();
    b_ = make_nested(build, "b", second);
    for (const auto* factor : {a_.get(), b_.get()})
      for (auto* param : factor->params()) own(param);
  }

  Tensor dense(Context& ctx) override { return b_->dense(ctx).matmul(a_->dense(ctx)); }
  double flops() const override { return a_->flops() + b_->flops(); }
  std::string type() const override { return "low_rank"; }
  Tensor rows(Context& ctx, const Tensor& ids) override { return b_->rows(ctx, ids).matmul(a_->dense(ctx)); }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t bank) override {
    const auto y = b_->forward(ctx, a_->forward(ctx, x, bank), bank);
    const auto bias = bias_value(ctx, bank);
    return bias.defined() ? y + bias : y;
  }

 private:
  std::unique_ptr<LinearMap> a_, b_;
};

FORMWORK_PART(LinearMap, LowRank, "low_rank", "two thin matrices: y = (x A^T) B^T");

}  // namespace
}  // namespace formwork
