// Appends new modules (experts, attention modules) and their rows of the router, as they start in a fresh
// model, to learn a new domain beside the old ones (ModuleFormer: Modularity Emerges from
// Mixture-of-Experts, 2023). The softmax of the router then runs over more modules, so all gates change a
// little. Train the new modules alone with the option `train_from` of training;
// the option `grown_penalty` of the pools keeps the new rows small (the form is ours: their mean square).
#include "formwork/channels/router.h"
#include "formwork/transforms/modules.h"

namespace formwork {
namespace {

class GrowModules final : public Transform {
 public:
  struct Options {
    int64_t count = 4, seed = 0;
    std::string axes = "*";
    void describe(Fields& f) {
      f.integer("count", count, "modules that each pool gains", 1, 1 << 20);
      f.integer("seed", seed, "of the new weights");
      f.text("axes", axes, "axes of modules; '*' for any characters");
    }
  };
  explicit GrowModules(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override { return {}; }

  bool reads_data() const override { return false; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    const at::NoGradGuard guard;
    Edit edit(*model);
    TransformResult result{model, {{"pools", Json::array()}}};
    for (const auto& pool : module_pools(*model, options_.axes, "grow_modules")) {
      const int64_t before = edit.axis_size(pool.axis);
      edit.grow(pool.axis, options_.count, static_cast<uint64_t>(options_.seed));
      auto& grown = edit.spec().axes[pool.scope + "." + kGrownModules];
      grown = options_.count + (grown.is_null() ? 0 : grown.get<int64_t>());
      result.report["pools"].push_back(
          {{"axis", pool.axis}, {"before", before}, {"after", before + options_.count}});
    }
    edit.record("grow_modules", options_json(options_));
    result.model = edit.finish();
    return result;
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, GrowModules, "grow_modules", "append fresh experts or attention modules");

}  // namespace
}  // namespace formwork
