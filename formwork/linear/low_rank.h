// Low-rank linear map (the LED unit of Greenformers, Cahyawijaya, 2021): y = (x A^T) B^T + b, A [r, in],
// B [out, r]; r (in + out) + out parameters, so worth it when r < in out / (in + out). A bank of n is n such
// pairs of one rank.
//
// The factors are linear maps themselves, "<path>.a" and "<path>.b".
#pragma once
#include "formwork/linear/map_options.h"
#include "formwork/linear/nested.h"
#include "formwork/linear/split_linear.h"

namespace formwork {

class LowRankLinear final : public SplitLinear {
 public:
  using Options = LowRankOptions;
  LowRankLinear(Build& build, const LinearNeed& need, const Options& options);

  Tensor dense(Context& ctx) override { return b_->dense(ctx).matmul(a_->dense(ctx)); }
  double flops() const override { return a_->flops() + b_->flops(); }
  std::string type() const override { return "low_rank"; }
  Tensor rows(Context& ctx, const Tensor& ids) override { return b_->rows(ctx, ids).matmul(a_->dense(ctx)); }

  LinearMap& first() { return *a_; }   // x A^T
  LinearMap& second() { return *b_; }  // h B^T

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t bank) override;
  Split products(SplitPass& pass, const Split& x) override {
    return through(pass, *b_, through(pass, *a_, x));
  }

 private:
  std::unique_ptr<LinearMap> a_, b_;
};

}  // namespace formwork
