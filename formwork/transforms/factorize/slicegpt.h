// SliceGPT: Compress Large Language Models by Deleting Rows and Columns (Ashkboos et al., 2024).
//
// RMSNorm without gain commutes with rotations, so every sub-block may see the stream in a basis of its own:
// the principal components of the signal there, of which the last are deleted. The shortcut of a sub-block
// becomes a map x -> x Q_l^T Q_{l+1}.
#pragma once
#include "formwork/transforms/transform.h"

namespace formwork {

class SliceGpt final : public Transform {
 public:
  struct Options {
    double sparsity = 0.25;
    int64_t round_interval = 8;
    std::string orientation = "random";
    bool slice_head = false, shared_basis = false;
    std::vector<double> schedule;
    int64_t seed = 0;
    void describe(Fields& f) {
      f.number("sparsity", sparsity, "share of the stream's channels that is deleted", 0, 0.999999);
      f.integer("round_interval", round_interval, "the kept width is a multiple of this", 1, 65536);
      f.choice("orientation", orientation, {"pca", "random"},
               "channels sorted by variance, or mixed among the kept");
      f.flag("slice_head", slice_head, "cut the last stream, and the head with it");
      f.flag("shared_basis", shared_basis, "one basis for all positions and no shortcut maps");
      f.numbers("schedule", schedule, "sparsity for each position of the stream instead of one for all");
      f.integer("seed", seed, "of the random orientation");
    }
  };
  explicit SliceGpt(const Options& options) : options_(options) {}
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;
  std::vector<Json> budgets() const override;
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override;

 private:
  int64_t kept(int64_t width, size_t position, size_t positions) const;
  Tensor orient(const Tensor& basis, int64_t kept) const;

  Options options_;
};

// Eigenvectors of the damped second moment, by descending eigenvalue: columns [D, D]; eigenvalues [D].
std::pair<Tensor, Tensor> principal_basis(const Tensor& moment);

}  // namespace formwork
