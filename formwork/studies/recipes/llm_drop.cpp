// LLM-Drop (He et al., 2024): sub-blocks that leave the stream's direction as it is can go.
#include <numeric>

#include "formwork/core/random.h"
#include "formwork/studies/recipes/char_decoder.h"

namespace formwork {
namespace {

class LlmDropStudy final : public Study {
 public:
  struct Options {
    int64_t draws = 5;
    void describe(Fields& f) { f.integer("draws", draws, "random choices to compare with", 1, 100); }
  };
  explicit LlmDropStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Json drops(StudyContext& ctx, const Trained& base, int64_t n) const;
  Options options_;
};

std::vector<std::string> attention_steps(const Model& model) {
  std::vector<std::string> steps;
  for (const auto& step : model.segments())
    if (step.ends_with(".mixer")) steps.push_back(step);
  return steps;
}

std::shared_ptr<Model> without(const Model& model, const std::vector<std::string>& steps) {
  Edit edit(model);
  for (const auto& step : steps) edit.drop(step);
  return edit.finish();
}

// Ranks from 1, equal values sharing their mean rank.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<double> ranks;
  for (const double v : values) {
    double below = 0, equal = 0;
    for (const double w : values) below += w < v, equal += w == v;
    ranks.push_back(below + (equal + 1) / 2);
  }
  return ranks;
}

// Correlation of the ranks (Spearman, 1904).
double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  const auto a = at::tensor(ranks(x), at::kDouble), b = at::tensor(ranks(y), at::kDouble);
  const auto u = a - a.mean(), v = b - b.mean();
  return ((u * v).sum() / (u.norm() * v.norm())).item<double>();
}

// Rises of the loss when n units go: by each target's scores, and on average over random attention layers.
Json LlmDropStudy::drops(StudyContext& ctx, const Trained& base, int64_t n) const {
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(32, 2));
  const double dense = held_out_loss(ctx, *base.model, *base.task);
  Json found = Json::object();
  for (const char* target : {"attn", "mlp", "block", "all"}) {
    const auto made = transformed(base.model, "llm_drop", {{"target", target}, {"n", n}}, data).model;
    found[target] = held_out_loss(ctx, *made, *base.task) - dense;
  }
  const auto steps = attention_steps(*base.model);
  double sum = 0;
  for (int64_t draw = 0; draw < options_.draws; ++draw) {
    auto stream = make_stream(ctx.seed(), "llm_drop.random", static_cast<uint64_t>(100 * n + draw));
    const auto order = at::randperm(static_cast<int64_t>(steps.size()), stream, at::kLong);
    std::vector<std::string> chosen;
    for (int64_t i = 0; i < n; ++i) chosen.push_back(steps[static_cast<size_t>(order[i].item<int64_t>())]);
    sum += held_out_loss(ctx, *without(*base.model, chosen), *base.task) - dense;
  }
  found["random"] = sum / static_cast<double>(options_.draws);
  return found;
}

// Each attention layer's score and what leaving it out costs.
Json single_removals(StudyContext& ctx, const Trained& base) {
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(32, 2));
  const auto report = transformed(base.model, "llm_drop", {{"target", "attn"}, {"n", 1}}, data).report;
  std::vector<double> scores, rises;
  const double dense = held_out_loss(ctx, *base.model, *base.task);
  for (const auto& row : report.at("scores")) {
    scores.push_back(number(row, "score"));
    const auto step = row.at("unit").get<std::string>();
    rises.push_back(held_out_loss(ctx, *without(*base.model, {step}), *base.task) - dense);
  }
  return {{"scores", scores}, {"rises", rises}, {"spearman", spearman(scores, rises)}};
}

std::vector<Claim> LlmDropStudy::run(StudyContext& ctx) {
  const auto base = char_decoder(ctx);
  std::vector<Claim> claims;
  for (const int64_t n : {2, 4}) {
    const Json settings = {{"base", base.key}, {"n", n}, {"options", options_json(options_)}};
    const auto found =
        ctx.stage(fmt::format("drop {} and evaluate", n), settings, [&] { return drops(ctx, base, n); });
    const auto rise = [&](const char* name) { return number(found, name); };
    claims.push_back(at_most(fmt::format("rise of the loss, {} attentions less {} blocks", n, n),
                             "attention is redundant", rise("attn") - rise("block"), 0));
    claims.push_back(at_most(fmt::format("rise of the loss, {} attentions by score over random", n),
                             "not given", ratio_of_rises(rise("attn"), rise("random")), 0.75));
    claims.push_back(at_most(fmt::format("rise of the loss, {} from one pool less the better target", n),
                             "joint drop is best",
                             rise("all") - std::min({rise("attn"), rise("mlp"), rise("block")}), 0.01));
    claims.push_back(reported(fmt::format("rise of the loss, {} attentions", n),
                              "2.4 % of performance for 40 of 80", rise("attn")));
    claims.push_back(
        reported(fmt::format("rise of the loss, {} MLPs", n), "more than attention", rise("mlp")));
  }
  const auto single =
      ctx.stage("leave out one by one", {{"base", base.key}}, [&] { return single_removals(ctx, base); });
  claims.push_back(at_least("rank correlation of score and rise of single attentions", "not given",
                            number(single, "spearman"), 0.5));
  return claims;
}

FORMWORK_PART(Study, LlmDropStudy, "llm_drop",
              "dropping the sub-blocks of least effect, against random ones");

}  // namespace
}  // namespace formwork
