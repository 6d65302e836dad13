// Matrix memory: M(phi) = W phi, W [dv, F] zero at first. The gradient of a token's loss is (dL/dy) phi^T.
#include "formwork/mixers/fast_weights/fast_memory.h"

namespace formwork {
namespace {

class MatrixMemory final : public FastMemory {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  MatrixMemory(Build& build, const Options&) : FastMemory(build) {
    add_weight(build, "weight", build.out, build.in, /*std=*/0, /*reads_features=*/true);
  }
  double curvature(double concentration) const override { return concentration; }
  Tensor read(const Apply& apply, const Tensor& phi) const override { return apply(0, phi); }
  std::vector<RankOne> gradients(const std::vector<Tensor>& weights, const Tensor& keys, const Tensor& writes,
                                 const OutputError& error) const override {
    return {{error(times(weights[0], keys)), writes}};
  }
};

FORMWORK_PART(FastMemory, MatrixMemory, "matrix", "one matrix, zero at first");

}  // namespace
}  // namespace formwork
