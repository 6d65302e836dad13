// Dense linear map: y = x W^T + b, W [out, in].
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

class DenseLinear final : public LinearMap {
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

 private:
  Param* weight_;
};

}  // namespace formwork
