// Magnitude pruning: Learning both Weights and Connections for Efficient Neural Networks (Han et al., 2015).
// The weights of each map with the smallest |w| become zero; no data is needed.
#include "formwork/transforms/prune/scored.h"

namespace formwork {
namespace {

class Magnitude final : public Transform {
 public:
  using Options = PruneOptions;
  explicit Magnitude(const Options& options) : options_(options) {}
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return prune_budgets(); }
  std::optional<Budget> budget(const Model&, const TransformResult& made) const override {
    return prune_budget(options_, made);
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    return replace_block_maps(model, "magnitude", options_json(options_), [&](LinearMap& map) {
      return prune_map(map, finite_weight(map).abs(), options_, /*by_row=*/false);
    });
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, Magnitude, "magnitude", "zero the smallest weights of each map");

}  // namespace
}  // namespace formwork
