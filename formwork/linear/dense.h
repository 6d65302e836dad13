// Dense linear map: y = x W^T + b, W [out, in].
#pragma once
#include "formwork/linear/split_linear.h"

namespace formwork {

class DenseLinear final : public SplitLinear {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  DenseLinear(Build& build, const LinearNeed& need, const Options& options);

  Tensor dense(Context& ctx) override;
  Tensor rows(Context& ctx, const Tensor& ids) override;
  double flops() const override { return 2.0 * static_cast<double>(in()) * static_cast<double>(out()); }
  std::string type() const override { return "dense"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t bank) override;
  Split products(SplitPass& pass, const Split& x) override;

 private:
  Param* weight_;
};

}  // namespace formwork
