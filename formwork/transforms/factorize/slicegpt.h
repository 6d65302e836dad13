// SliceGPT: Compress Large Language Models by Deleting Rows and Columns (Ashkboos et al., 2024).
//
// RMSNorm without gain commutes with rotations, so every sub-block may see the stream in a basis of its own:
// the principal components of the signal there, of which the last are deleted. The shortcut of a sub-block
// becomes a map x -> x Q_l^T Q_{l+1}. Norms are folded first; LayerNorm becomes RMSNorm that way.
#pragma once
#include "formwork/transforms/adapt/add_lora.h"
#include "formwork/transforms/transform.h"

namespace formwork {

// The basis of the stream before one step (or before the head).
struct StreamBasis {
  Tensor vectors;  // Q [W, W], orthogonal; the first `kept` columns stay
  int64_t kept = 0;
  double energy = 0, discarded = 0;  // sum of |x|^2 over the signal, and of what leaves it
};

class SliceGpt final : public Transform {
 public:
  struct Options : RecoveryOptions {
    double sparsity = 0.25;
    int64_t round_interval = 8, sequences = 128, length = 2048;
    std::string orientation = "random";
    bool slice_head = false, shared_basis = false, apply_mask = true;
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
      f.flag("apply_mask", apply_mask, "padding does not count in the principal components");
      f.integer("sequences", sequences, "most calibration rows that are used; 0: all");
      f.integer("length", length, "most tokens of a calibration row; 0: all");
      f.integer("seed", seed, "of the random orientation");
      RecoveryOptions::describe(f);
    }
  };
  explicit SliceGpt(const Options& options) : options_(options) {}
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;
  std::vector<Json> budgets() const override;
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override;

  // The three stages of apply. The model that is rotated, with the function of the original: head untied,
  // norms folded, and unless one basis is shared, an identity shortcut for each step that has none.
  std::shared_ptr<Model> prepare(const std::shared_ptr<Model>& model) const;
  // One basis for each position, found one after the other on what the sliced model would carry there.
  std::vector<StreamBasis> find_bases(Model& prepared, const Calibration& data) const;
  // Each position's stream in a basis [W, m] of its own.
  static std::shared_ptr<Model> change_bases(const Model& prepared, const std::vector<Tensor>& bases,
                                             const Json& recorded = nullptr);

 private:
  int64_t kept(int64_t original, int64_t now, size_t position, size_t positions) const;
  Tensor orient(const Tensor& basis, int64_t kept, size_t position) const;
  StreamBasis basis_of(const Tensor& moment, int64_t original, size_t position, size_t positions) const;

  Options options_;
};

// Eigenvectors of a second moment [D, D], by descending eigenvalue: columns [D, D]; eigenvalues [D].
std::pair<Tensor, Tensor> principal_basis(const Tensor& moment);

}  // namespace formwork
