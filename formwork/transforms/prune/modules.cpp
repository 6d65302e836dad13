// Removes routed modules that the data use little, with their rows of the router (ModuleFormer: Modularity
// Emerges from Mixture-of-Experts, 2023).
//
//   use(m) = share of choices that fall on m, times n: 1 for an even load
//
// The router's softmax then runs over fewer modules. `gate_base` "all" lets every gate grow to
// p_m / (1 - P_removed(x)); "kept" leaves the removed rows in the denominator, so that the gates, and the
// outputs of tokens that took no removed module, stay as they were.
#include "formwork/transforms/modules.h"

#include "formwork/channels/router.h"

namespace formwork {
namespace {

class PruneModules final : public Transform {
 public:
  struct Options {
    double threshold = 0.1;
    int64_t keep = 0;
    std::string gate_base = "all", axes = "*";
    void describe(Fields& f) {
      f.number("threshold", threshold, "modules used less than this share of an even load go", 0, 1e6);
      f.integer("keep", keep, "the number of modules that stay, the most used; 0: by the threshold");
      f.choice("gate_base", gate_base, {"all", "kept"},
               "removed rows leave the softmax (all), or stay in its denominator (kept)");
      f.text("axes", axes, "axes of modules; '*' for any characters");
    }
  };
  explicit PruneModules(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override {
    return {{{"threshold", 0.05}}, {{"threshold", 0.2}}, {{"threshold", 0.5}}};
  }

  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override {
    const at::NoGradGuard guard;
    const auto pools = module_pools(*model, options_.axes, "prune_modules");
    const auto uses = module_use(*model, pools, data);
    Edit edit(*model);
    TransformResult result{model, {{"pools", Json::array()}}};
    bool any = false;
    for (size_t i = 0; i < pools.size(); ++i) {
      const bool pruned = prune(edit, pools[i], uses[i], result.report["pools"]);
      if (!pruned)
        result.report["warnings"].push_back(
            fmt::format("'{}' keeps all its modules: none is used so little", pools[i].axis));
      any |= pruned;
    }
    if (!any) fail("prune_modules: no module is used less than {} of an even load", options_.threshold);
    edit.record("prune_modules", options_json(options_));
    result.model = edit.finish();
    return result;
  }

 private:
  bool prune(Edit& edit, const ModulePool& pool, const ModuleUse& use, Json& report) const {
    if (use.tokens == 0) fail("prune_modules: no token of the data reached '{}'", pool.scope);
    const int64_t n = edit.axis_size(pool.axis);
    const auto relative = use.chosen * static_cast<double>(n) / use.chosen.sum();
    const auto kept = chosen_to_stay(relative, n);
    if (kept.numel() < use.active)
      fail("prune_modules: expected at least {} modules to stay on '{}', as many as a token takes, found {}",
           use.active, pool.axis, kept.numel());
    auto stays = at::zeros({n}, at::kBool).index_fill_(0, kept, true);
    const auto gone = stays.logical_not().nonzero().squeeze(1);
    report.push_back(
        {{"axis", pool.axis},
         {"use", std::vector<double>(relative.data_ptr<double>(), relative.data_ptr<double>() + n)},
         {"before", n},
         {"after", kept.numel()},
         {"probability_removed", use.probability.index_select(0, gone).sum().item<double>()}});
    if (gone.numel() == 0) return false;
    if (options_.gate_base == "kept") leave_rows(edit, pool, gone);
    if (auto grown = edit.spec().axes.find(pool.scope + "." + kGrownModules); grown != edit.spec().axes.end())
      *grown = kept.ge(n - grown->get<int64_t>()).sum().item<int64_t>();
    edit.select(pool.axis, kept);
    return true;
  }

  Tensor chosen_to_stay(const Tensor& relative, int64_t n) const {
    if (options_.keep == 0) return relative.ge(options_.threshold).nonzero().squeeze(1);
    if (options_.keep > n)
      fail("prune_modules: expected at most {} modules to keep, found {}", n, options_.keep);
    return std::get<0>(std::get<1>(relative.topk(options_.keep)).sort());
  }

  static void leave_rows(Edit& edit, const ModulePool& pool, const Tensor& gone) {
    if (pool.router->type() != "dense")
      fail("prune_modules: gate_base 'kept' needs a dense router, found '{}' at '{}'", pool.router->type(),
           pool.router->path());
    auto rows = edit.tensor(pool.router->path() + ".weight").index_select(0, gone);
    const std::string name = pool.scope + "." + kRemovedRows + ".weight";
    if (edit.has(name)) rows = at::cat({edit.tensor(name), rows}, 0);
    edit.add(name, rows);
    edit.spec().axes[pool.scope + "." + kRemovedModules] = rows.size(0);
  }

  Options options_;
};

FORMWORK_PART(Transform, PruneModules, "prune_modules", "remove the experts or attention modules used least");

}  // namespace
}  // namespace formwork
