// Low-rank linear map: y = (x A^T) B^T + b, A [r, in], B [out, r]. Worth it when r < in out / (in + out).
#include "formwork/linear/linear_map.h"

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
    rank_ = rank.size;
    Dim inner = rank, out = need.out;
    inner.writes = out.writes = true;
    Rule rule = need.rule;
    rule.init = init::fan_in_uniform();
    a_ = own(build.param("a", with_bank({inner, need.in}), rule));
    b_ = own(build.param("b", with_bank({out, Dim(rank)}), rule));
    inner_ = build.tap("inner", rank);
  }

  Tensor dense(Context& ctx) override { return ctx.value(*b_).matmul(ctx.value(*a_)); }
  double flops() const override {
    return 2.0 * static_cast<double>(rank_) * static_cast<double>(in() + out());
  }
  std::string type() const override { return "low_rank"; }
  Tensor rows(Context& ctx, const Tensor& ids) override {
    return at::embedding(ctx.value(*b_), ids).matmul(ctx.value(*a_));
  }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t bank) override {
    const auto pick = [&](Param* p) { return bank >= 0 ? ctx.value(*p).select(0, bank) : ctx.value(*p); };
    return at::linear(ctx.tap(inner_, at::linear(x, pick(a_))), pick(b_), bias_value(ctx, bank));
  }

 private:
  int64_t rank_;
  Param *a_, *b_;
  Slot inner_;
};

FORMWORK_PART(LinearMap, LowRank, "low_rank", "two thin matrices: y = (x A^T) B^T");

}  // namespace
}  // namespace formwork
