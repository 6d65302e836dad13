#include "formwork/transforms/prune/drop_units.h"

#include <numeric>

#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

// "decoder.layers.3.cross" -> {"decoder.layers.3", 3, "cross"}
struct StepName {
  std::string block;
  int64_t layer = 0;
  std::string part;
};

StepName parse(const std::string& step) {
  const size_t dot = step.rfind('.'), number = step.rfind('.', dot - 1);
  if (step.find('@') != std::string::npos || step.find("layers.") == std::string::npos ||
      number == std::string::npos || !std::isdigit(static_cast<unsigned char>(step[number + 1])))
    fail("llm_drop: expected a plain stack of layers, found step '{}'", step);
  return {step.substr(0, dot), std::stoll(step.substr(number + 1, dot - number - 1)), step.substr(dot + 1)};
}

const NormInfo* norm_of(const Model& model, const std::string& step) {
  for (const auto& norm : model.inventory().norms)
    if (norm.path == step + ".norm") return &norm;
  return nullptr;
}

// A step that changes the basis of the stream, or that normalizes the stream itself (a norm that no map
// reads), lets nothing pass unchanged.
void refuse_without_residual(const Model& model, const std::string& step) {
  if (model.spec().linear.contains(step + ".shortcut"))
    fail("llm_drop: the stream after '{}' has a basis of its own (a sliced model): drop first, then slice",
         step);
  const auto& inventory = model.inventory();
  const auto part = inventory.parts.find(step);
  if (part != inventory.parts.end() && facet<ChangesTokens>(*part->second))
    fail("llm_drop: '{}' makes other tokens of the stream, which nothing passes unchanged", step);
  const auto* norm = norm_of(model, step);
  if (!norm) return;
  const bool read = std::any_of(inventory.maps.begin(), inventory.maps.end(),
                                [&](const LinearMap* map) { return map->input_tap() == norm->output; }) ||
                    std::any_of(inventory.raw_reads.begin(), inventory.raw_reads.end(),
                                [&](const auto& raw) { return raw.first == norm->output; });
  if (!read) fail("llm_drop: '{}' is post-norm: without it the stream is not what it was", step);
}

bool is_part(const std::string& target, const std::string& part) {
  if (target == "all") return part == "mixer" || part == "channel";
  return part == (target == "attn" ? "mixer" : target == "mlp" ? "channel" : target);
}

// Sum of cosines of two streams [B, T, D] over real tokens, and the number of tokens.
std::pair<double, int64_t> cosine(const Context& ctx, const Tensor& before, const Tensor& after) {
  const auto a = real_tokens(ctx, before).to(at::kFloat), b = real_tokens(ctx, after).to(at::kFloat);
  return {at::cosine_similarity(a, b, 1, 1e-12).to(at::kDouble).sum().item<double>(), a.size(0)};
}

struct Similarity {
  double sum = 0;
  int64_t tokens = 0;
  void add(const std::pair<double, int64_t>& part) { sum += part.first, tokens += part.second; }
  double score() const { return 1 - sum / static_cast<double>(std::max<int64_t>(1, tokens)); }
};

// In: the stream before a unit, out: the stream after it.
std::vector<Similarity> along_the_stream(Model& model, const Calibration& data,
                                         const std::vector<DropUnit>& units) {
  std::vector<Similarity> found(units.size());
  const auto steps = static_cast<int64_t>(model.segments().size());
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context();
    auto streams = model.start(ctx, batch);
    std::vector<Tensor> signal = {streams.at("residual").x};
    for (int64_t i = 0; i < steps; ++i) {
      model.run(ctx, i, i + 1, streams);
      signal.push_back(streams.at("residual").x);
    }
    Context real;
    real.layout = &streams.at("residual").layout;
    for (size_t u = 0; u < units.size(); ++u)
      found[u].add(cosine(real, signal[static_cast<size_t>(units[u].first)],
                          signal[static_cast<size_t>(units[u].last)]));
  }
  return found;
}

// In: what the norm gave a sub-block, out: what the sub-block made of it.
std::vector<Similarity> inside_the_units(Model& model, const Calibration& data,
                                         const std::vector<DropUnit>& units) {
  std::vector<Similarity> found(units.size());
  std::vector<Tensor> given(units.size());
  auto board = model.make_board();
  for (size_t u = 0; u < units.size(); ++u) {
    const auto* norm = norm_of(model, units[u].name);
    if (!norm) fail("llm_drop: '{}' has no norm of its own to compare its output with", units[u].name);
    board.listen(norm->output,
                 [&given, u](Context&, const TapEvent&, const Tensor& x) { return given[u] = x; });
    board.listen(units[u].name + ".out", [&given, &found, u](Context& ctx, const TapEvent&, const Tensor& x) {
      found[u].add(cosine(ctx, given[u], x));
      return x;
    });
  }
  run_calibration(model, data, board);
  return found;
}

}  // namespace

const std::vector<std::string>& drop_targets() {
  static const std::vector<std::string> names = {"attn", "mlp", "cross", "all", "block"};
  return names;
}

std::vector<DropUnit> drop_units(const Model& model, const std::string& target) {
  std::vector<DropUnit> list;
  const auto steps = model.segments();
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto name = parse(steps[i]);
    if (name.block.rfind("encoder.", 0) == 0) continue;
    if (name.part == "both" && target != "block")
      fail("llm_drop: '{}' is a parallel block, whose attention and MLP share an input: drop it as a block",
           steps[i]);
    const auto at = static_cast<int64_t>(i);
    if (target == "block" && !list.empty() && list.back().name == name.block)
      list.back().last = at + 1;
    else if (target == "block" || is_part(target, name.part))
      list.push_back({target == "block" ? name.block : steps[i], name.layer, at, at + 1, 0});
    else
      continue;
    refuse_without_residual(model, steps[i]);
  }
  return list;
}

int64_t score_units(Model& model, const Calibration& data, std::vector<DropUnit>& units, bool residual) {
  const at::NoGradGuard guard;
  if (data.batches.empty()) fail("llm_drop: no calibration data was given");
  const auto found = residual ? along_the_stream(model, data, units) : inside_the_units(model, data, units);
  for (size_t u = 0; u < units.size(); ++u) {
    units[u].score = found[u].score();
    if (!std::isfinite(units[u].score))
      fail("llm_drop: the score of '{}' is not finite: the stream there is not", units[u].name);
  }
  return static_cast<int64_t>(data.batches.size());
}

namespace {

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    for (size_t i = first; i < last; ++i) rank[order[i]] = static_cast<double>(first + last - 1) / 2;
    first = last;
  }
  return rank;
}

}  // namespace

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || a.empty())
    fail("spearman: expected two lists of one length, found {} and {} values", a.size(), b.size());
  const auto x = ranks(a), y = ranks(b);
  const double mean = static_cast<double>(a.size() - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean), yy += (y[i] - mean) * (y[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

Json score_agreement(const std::vector<std::shared_ptr<Model>>& checkpoints,
                     const std::vector<Calibration>& data, const std::string& target) {
  std::vector<std::string> names;
  std::vector<std::vector<double>> scores;
  for (const auto& model : checkpoints)
    for (const auto& set : data) {
      auto units = drop_units(*model, target);
      score_units(*model, set, units);
      std::vector<std::string> found;
      scores.emplace_back();
      for (const auto& unit : units) found.push_back(unit.name), scores.back().push_back(unit.score);
      if (!names.empty() && found != names) fail("llm_drop: the checkpoints do not have the same units");
      names = found;
    }
  Json result = {{"units", names}, {"scores", scores}, {"spearman", Json::array()}};
  for (const auto& a : scores) {
    Json row = Json::array();
    for (const auto& b : scores) row.push_back(spearman(a, b));
    result["spearman"].push_back(row);
  }
  return result;
}

}  // namespace formwork
