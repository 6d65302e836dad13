// LLM-Drop: What Matters in Transformers? Not All Attention is Needed (He et al., 2024). The sub-blocks that
// change the stream least (drop_units.h) are removed, norm included, without training: attention, MLP, both
// from one pool, or whole layers. A state is then held by the attentions that are left alone.
#include <set>

#include "formwork/transforms/adapt/add_lora.h"
#include "formwork/transforms/prune/drop_units.h"

namespace formwork {
namespace {

class LlmDrop final : public Transform {
 public:
  struct Options : RecoveryOptions {
    std::string target = "attn", selection = "discrete", schedule = "one_shot";
    int64_t n = 4, per_round = 1, sequences = 256, length = 2048;
    bool residual_in_score = true;
    std::vector<double> protect;
    void describe(Fields& f) {
      f.choice("target", target, drop_targets(), "what is dropped; all: attention and MLP from one pool");
      f.integer("n", n, "units to drop");
      f.choice("selection", selection, {"discrete", "consecutive"},
               "blocks: the lowest scores, or a run of neighbours");
      f.choice("schedule", schedule, {"one_shot", "iterative"}, "score once, or again after each round");
      f.integer("per_round", per_round, "units dropped in a round", 1);
      f.flag("residual_in_score", residual_in_score,
             "compare the stream before and after; otherwise a sub-block's input and output (ablation)");
      f.numbers("protect", protect, "layers that are never dropped");
      f.integer("sequences", sequences, "most calibration rows that are used; 0: all");
      f.integer("length", length, "most tokens of a calibration row; 0: all");
      RecoveryOptions::describe(f);
    }
  };
  explicit LlmDrop(const Options& options);
  std::vector<Json> budgets() const override {
    return {{{"target", "attn"}, {"n", 1}}, {{"target", "all"}, {"n", 2}}, {{"target", "all"}, {"n", 4}}};
  }
  std::optional<Budget> budget(const Model&, const TransformResult& made) const override {
    return Budget{options_.target == "block" ? "layers dropped" : "sub-blocks dropped",
                  static_cast<double>(options_.n), static_cast<double>(made.report.at("dropped").size())};
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;

 private:
  void check(const Model& model) const;
  std::vector<DropUnit> pool(const Model& model) const;
  std::vector<DropUnit> next_round(Model& model, const Calibration& data, int64_t left, Json& report) const;
  std::vector<DropUnit> best_run(Model& model, const Calibration& data, int64_t length, Json& report) const;
  Options options_;
};

LlmDrop::LlmDrop(const Options& options) : options_(options) {
  if (options.selection == "consecutive" && options.target != "block")
    fail("llm_drop: selection 'consecutive' drops blocks, but the target is '{}'", options.target);
  if (options.selection == "consecutive" && options.schedule == "iterative")
    fail("llm_drop: a consecutive run is found at once, so the schedule cannot be 'iterative'");
  if (!options.residual_in_score && options.target == "block")
    fail("llm_drop: a block has no output of its own, so its score needs the residual");
}

// What may go: units of layers that are not protected.
std::vector<DropUnit> LlmDrop::pool(const Model& model) const {
  auto units = drop_units(model, options_.target);
  std::erase_if(units, [&](const DropUnit& unit) {
    return std::find(options_.protect.begin(), options_.protect.end(), static_cast<double>(unit.layer)) !=
           options_.protect.end();
  });
  return units;
}

// That what is protected are layers of the model, and that n of the others can go and leave something.
void LlmDrop::check(const Model& model) const {
  std::set<int64_t> layers;
  for (const auto& unit : drop_units(model, options_.target)) layers.insert(unit.layer);
  for (const double layer : options_.protect)
    if (layer != std::floor(layer) || !layers.count(static_cast<int64_t>(layer)))
      fail("llm_drop: option 'protect' names layer {}, the target '{}' is in layers {}", layer,
           options_.target, layers.empty() ? "none" : fmt::format("{}", fmt::join(layers, ", ")));
  const auto units = static_cast<int64_t>(pool(model).size());
  if (units == 0 && options_.n > 0)
    fail("llm_drop: the model has no unit of target '{}' that is not protected", options_.target);
  if (options_.n > 0 && options_.n >= units)
    fail("llm_drop: cannot drop {} of {} units of target '{}'; n must be from 0 to {}", options_.n, units,
         options_.target, units - 1);
}

void report_scores(const std::vector<DropUnit>& units, Json& report) {
  const int64_t round = report["rounds"].get<int64_t>();
  for (const auto& unit : units)
    report["scores"].push_back({{"round", round}, {"unit", unit.name}, {"score", unit.score}});
}

// The start i with the highest similarity of the streams before i and before i + length.
std::vector<DropUnit> LlmDrop::best_run(Model& model, const Calibration& data, int64_t length,
                                        Json& report) const {
  const auto units = pool(model);
  std::vector<DropUnit> runs;
  std::vector<size_t> starts;
  for (size_t i = 0; i + static_cast<size_t>(length) <= units.size(); ++i) {
    const auto& end = units[i + static_cast<size_t>(length) - 1];
    bool neighbours = true;  // protected layers in between break a run
    for (size_t k = i; k + 1 < i + static_cast<size_t>(length); ++k)
      neighbours &= units[k].last == units[k + 1].first;
    if (!neighbours) continue;
    runs.push_back({units[i].name, units[i].layer, units[i].first, end.last, 0});
    starts.push_back(i);
  }
  if (runs.empty()) fail("llm_drop: no run of {} neighbouring blocks is free of protected layers", length);
  report["forward_passes"] = report["forward_passes"].get<int64_t>() + score_units(model, data, runs);
  report_scores(runs, report);
  const auto best = std::min_element(runs.begin(), runs.end(),
                                     [](const auto& a, const auto& b) { return a.score < b.score; });
  const auto start = units.begin() + static_cast<int64_t>(starts[static_cast<size_t>(best - runs.begin())]);
  return {start, start + length};
}

// The lowest scores of the model as it is now, lowest first.
std::vector<DropUnit> LlmDrop::next_round(Model& model, const Calibration& data, int64_t left,
                                          Json& report) const {
  auto units = pool(model);
  report["forward_passes"] =
      report["forward_passes"].get<int64_t>() + score_units(model, data, units, options_.residual_in_score);
  report_scores(units, report);
  std::stable_sort(units.begin(), units.end(),
                   [](const auto& a, const auto& b) { return a.score < b.score; });
  const int64_t now = options_.schedule == "iterative" ? std::min(left, options_.per_round) : left;
  units.resize(static_cast<size_t>(now));
  return units;
}

// Original layer numbers by what was dropped, sorted: {"drop_attn": [1, 4], ...}.
void report_layers(const std::vector<std::string>& steps, const std::vector<DropUnit>& units, Json& report) {
  for (const auto& unit : units)
    for (int64_t s = unit.first; s < unit.last; ++s) {
      const auto part = steps[static_cast<size_t>(s)].substr(steps[static_cast<size_t>(s)].rfind('.') + 1);
      if (part == "mixer" || part == "both") report["drop_attn"].push_back(unit.layer);
      if (part == "channel" || part == "both") report["drop_mlp"].push_back(unit.layer);
      if (part == "cross") report["drop_cross"].push_back(unit.layer);
    }
  for (const auto* key : {"drop_attn", "drop_mlp", "drop_cross"})
    std::sort(report[key].begin(), report[key].end());
}

TransformResult LlmDrop::apply(const std::shared_ptr<Model>& model, const Calibration& given) {
  const at::NoGradGuard guard;
  check(*model);
  TransformResult result{model, {{"forward_passes", 0}, {"rounds", 0}}};
  auto& report = result.report;
  for (const auto* key : {"scores", "dropped", "drop_attn", "drop_mlp", "drop_cross", "warnings"})
    report[key] = Json::array();
  if (options_.n == 0) return result;
  const auto data = at_most(given, options_.sequences, options_.length);
  int64_t rows = 0;
  for (const auto& batch : data.batches) rows += batch.begin()->second.size(0);
  if (rows < 2) report["warnings"].push_back("scores come from fewer than two calibration rows");
  for (int64_t left = options_.n; left > 0;) {
    const auto going = options_.selection == "consecutive" ? best_run(*result.model, data, left, report)
                                                           : next_round(*result.model, data, left, report);
    Edit edit(*result.model);
    const auto steps = result.model->segments();
    for (const auto& unit : going) {
      for (int64_t s = unit.first; s < unit.last; ++s) edit.drop(steps[static_cast<size_t>(s)]);
      report["dropped"].push_back(unit.name);
    }
    report_layers(steps, going, report);
    report["rounds"] = report["rounds"].get<int64_t>() + 1;
    left -= static_cast<int64_t>(going.size());
    if (left == 0) edit.record("llm_drop", options_json(options_));
    result.model = edit.finish();
  }
  options_.apply(result);
  return result;
}

FORMWORK_PART(Transform, LlmDrop, "llm_drop",
              "remove the attention, MLPs or layers that change the stream least");

}  // namespace
}  // namespace formwork
