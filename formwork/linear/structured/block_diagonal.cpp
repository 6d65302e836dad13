// Block-diagonal linear map: inputs and outputs are cut into n blocks, and block k of the output sees block k
// of the input alone: y_k = x_k W_k^T + b_k, W_k [out / n, in / n]. A grouped 1x1 convolution is the same
// map.
#include "formwork/linear/map_options.h"
#include "formwork/linear/split_linear.h"
#include "formwork/linear/stored.h"

namespace formwork {
namespace {

class BlockDiagonal final : public SplitLinear {
 public:
  using Options = BlockDiagonalOptions;

  BlockDiagonal(Build& build, const LinearNeed& need, const Options& options)
      : SplitLinear(build, need), blocks_(options.blocks) {
    require_single(build, need, "block_diagonal");
    if (in() % blocks_ != 0 || out() % blocks_ != 0)
      fail("{}: {} blocks do not divide a matrix of {} outputs and {} inputs", path(), blocks_, out(), in());
    Dim rows = need.out;
    rows.writes = true;
    Rule rule = need.rule;
    rule.init = need.init;  // of a block: fan-in is the width of a block
    weight_ = own(build.param("weight", {rows, Dim::plain(in() / blocks_)}, rule));
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::none, "each entry belongs to its block of a block-diagonal matrix");
  }

  Tensor dense(Context& ctx) override { return at::block_diag(blocks(ctx).unbind(0)); }
  double flops() const override {
    return 2.0 * static_cast<double>(in()) * static_cast<double>(out()) / static_cast<double>(blocks_);
  }
  std::string type() const override { return "block_diagonal"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    const auto parts = x.unflatten(-1, {blocks_, in() / blocks_}).unsqueeze(-2);  // [..., n, 1, in / n]
    const auto y = parts.matmul(blocks(ctx).transpose(1, 2)).flatten(-3);
    const auto bias = bias_value(ctx, -1);
    return bias.defined() ? y + bias : y;
  }

 private:
  Tensor blocks(Context& ctx) const {  // [n, out / n, in / n]
    return ctx.value(*weight_).unflatten(0, {blocks_, out() / blocks_});
  }
  int64_t blocks_;
  Param* weight_;
};

FORMWORK_PART(LinearMap, BlockDiagonal, "block_diagonal", "blocks of outputs that see blocks of inputs");

}  // namespace
}  // namespace formwork
