// Wanda: A Simple and Effective Pruning Approach for Large Language Models (Sun et al., 2023). In every
// output row the weights with the lowest score become zero; nothing is updated:
//
//   S[o, i] = |W[o, i]| ||x_i||_2,   the norm over all calibration tokens
#include "formwork/transforms/prune/scored.h"

namespace formwork {
namespace {

class Wanda final : public Transform {
 public:
  using Options = PruneOptions;
  explicit Wanda(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override { return prune_budgets(); }
  std::optional<Budget> budget(const Model&, const TransformResult& made) const override {
    return prune_budget(options_, made);
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override {
    const auto moments = collect_moments(*model, data, input_taps(block_maps(*model)), /*with_outer=*/false);
    return replace_block_maps(model, "wanda", options_json(options_), [&](LinearMap& map) {
      const auto found = moments.find(map.input_tap());
      if (found == moments.end()) return Replacement::leave("no calibration token reached it");
      const auto scores = finite_weight(map).to(at::kDouble).abs() * found->second.squares.sqrt();
      return prune_map(map, scores, options_, /*by_row=*/true);
    });
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, Wanda, "wanda", "zero weights by magnitude times the norm of their input");

}  // namespace
}  // namespace formwork
