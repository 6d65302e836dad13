// LLM-Drop: What Matters in Transformers? Not All Attention is Needed (He et al., 2024). A sub-block that
// leaves the direction of the stream as it was is removed, norm included:
//
//   S = 1 - mean over tokens of cos(in, out),   in = the stream before it, out = the stream after it
//
// The lowest S go first: attention, MLP, whole layers, or both kinds from one pool.
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class LlmDrop final : public Transform {
 public:
  struct Options {
    std::string target = "attn", selection = "discrete", schedule = "one_shot";
    int64_t n = 1, per_round = 1;
    bool residual_in_score = true;
    std::vector<double> protect;
    void describe(Fields& f) {
      f.choice("target", target, {"attn", "mlp", "all", "block"},
               "what is dropped; all: attention and MLP from one pool");
      f.integer("n", n, "units to drop");
      f.choice("selection", selection, {"discrete", "consecutive"},
               "blocks: the lowest scores, or a run of neighbours");
      f.choice("schedule", schedule, {"one_shot", "iterative"}, "score once, or again after each round");
      f.integer("per_round", per_round, "units dropped in a round", 1);
      f.flag("residual_in_score", residual_in_score,
             "score the stream, not the sub-block's own output (ablation)");
      f.numbers("protect", protect, "layers that are never dropped");
    }
  };
  explicit LlmDrop(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override {
    return {{{"target", "attn"}, {"n", 1}}, {{"target", "all"}, {"n", 2}}, {{"target", "all"}, {"n", 4}}};
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;

 private:
  struct Unit {
    int64_t layer, first, last;  // steps [first, last)
    double score = 0;
    std::string name;
  };
  std::vector<Unit> units(const Model& model) const;
  void score(Model& model, const Calibration& data, std::vector<Unit>& units) const;
  std::vector<size_t> choose(std::vector<Unit>& units, int64_t n) const;

  Options options_;
};

int64_t layer_of(const std::string& step) { return std::stoll(step.substr(step.find('.') + 1)); }

bool ends_with(const std::string& text, const std::string& tail) {
  return text.size() >= tail.size() && text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
}

// Mean cosine of two streams over real tokens, and the number of tokens.
std::pair<double, int64_t> cosine(const Stream& stream, const Tensor& before, const Tensor& after) {
  Context ctx;
  ctx.layout = &stream.layout;
  const auto a = real_tokens(ctx, before).to(at::kFloat), b = real_tokens(ctx, after).to(at::kFloat);
  return {at::cosine_similarity(a, b, 1, 1e-12).to(at::kDouble).sum().item<double>(), a.size(0)};
}

std::vector<LlmDrop::Unit> LlmDrop::units(const Model& model) const {
  std::vector<Unit> list;
  const auto steps = model.segments();
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[i];
    if (step.rfind("layers.", 0) != 0 || step.find('@') != std::string::npos)
      fail("llm_drop: expected a plain stack of layers, found step '{}'", step);
    if (model.spec().linear.contains(step + ".shortcut"))
      fail("llm_drop: the stream after '{}' has a basis of its own (a sliced model): drop first, then slice",
           step);
    if (ends_with(step, ".both"))
      fail("llm_drop: '{}' is a parallel block, whose attention and MLP share an input", step);
    const int64_t layer = layer_of(step), at = static_cast<int64_t>(i);
    const bool protect = std::find(options_.protect.begin(), options_.protect.end(),
                                   static_cast<double>(layer)) != options_.protect.end();
    if (protect) continue;
    if (options_.target == "block") {
      if (!list.empty() && list.back().layer == layer)
        list.back().last = at + 1;
      else
        list.push_back({layer, at, at + 1, 0, fmt::format("layers.{}", layer)});
    } else if ((ends_with(step, ".mixer") && options_.target != "mlp") ||
               (ends_with(step, ".channel") && options_.target != "attn")) {
      list.push_back({layer, at, at + 1, 0, step});
    }
  }
  return list;
}

void LlmDrop::score(Model& model, const Calibration& data, std::vector<Unit>& units) const {
  for (auto& unit : units) unit.score = 0;
  int64_t tokens = 0;
  const auto steps = static_cast<int64_t>(model.segments().size());
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context();
    auto streams = model.start(ctx, batch);
    std::vector<Tensor> signal = {streams.at("residual").x};
    for (int64_t i = 0; i < steps; ++i) {
      model.run(ctx, i, i + 1, streams);
      signal.push_back(streams.at("residual").x);
    }
    int64_t count = 0;
    for (auto& unit : units) {
      const auto& in = signal[static_cast<size_t>(unit.first)];
      const auto& out = signal[static_cast<size_t>(unit.last)];
      const auto [sum, n] = cosine(streams.at("residual"), in, options_.residual_in_score ? out : out - in);
      unit.score += sum;
      count = n;
    }
    tokens += count;
  }
  for (auto& unit : units) unit.score = 1 - unit.score / static_cast<double>(std::max<int64_t>(1, tokens));
}

std::vector<size_t> LlmDrop::choose(std::vector<Unit>& units, int64_t n) const {
  std::vector<size_t> order(units.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return units[a].score < units[b].score; });
  order.resize(static_cast<size_t>(n));
  return order;
}

TransformResult LlmDrop::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const at::NoGradGuard guard;
  auto pool = units(*model);
  if (options_.n == 0) return {model, {{"dropped", Json::array()}}};
  if (options_.n >= static_cast<int64_t>(pool.size()))
    fail("llm_drop: cannot drop {} of {} units of target '{}'", options_.n, pool.size(), options_.target);
  TransformResult result{model, {{"scores", Json::array()}, {"dropped", Json::array()}}};
  int64_t left = options_.n;
  const bool runs = options_.target == "block" && options_.selection == "consecutive";
  while (left > 0) {
    auto current = units(*result.model);
    if (runs) {
      // Every window of n neighbours is one unit; the best window goes.
      std::vector<Unit> windows;
      for (size_t i = 0; i + static_cast<size_t>(left) <= current.size(); ++i) {
        const auto& end = current[i + static_cast<size_t>(left) - 1];
        windows.push_back({static_cast<int64_t>(i), current[i].first, end.last, 0, current[i].name});
      }
      score(*result.model, data, windows);
      const auto best = static_cast<size_t>(windows[choose(windows, 1)[0]].layer);
      for (auto& unit : current) unit.score = 1;
      for (size_t i = best; i < best + static_cast<size_t>(left); ++i) current[i].score = 0;
    } else {
      score(*result.model, data, current);
    }
    const int64_t now = options_.schedule == "iterative" && !runs ? std::min(left, options_.per_round) : left;
    for (const auto& unit : current)
      result.report["scores"].push_back({{"unit", unit.name}, {"score", unit.score}});
    Edit edit(*result.model);
    const auto steps = result.model->segments();
    for (const size_t i : choose(current, now)) {
      for (int64_t s = current[i].first; s < current[i].last; ++s) edit.drop(steps[static_cast<size_t>(s)]);
      result.report["dropped"].push_back(current[i].name);
    }
    left -= now;
    if (left == 0) edit.record("llm_drop", options_json(options_));
    result.model = edit.finish();
  }
  return result;
}

FORMWORK_PART(Transform, LlmDrop, "llm_drop",
              "remove the attention, MLPs or layers that change the stream least");

}  // namespace
}  // namespace formwork
