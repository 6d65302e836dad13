// LLM-Drop (He et al., 2024): sub-blocks that leave the stream's direction as it is can go.
#include "formwork/core/random.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/other_text.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"
#include "formwork/train/trainer.h"
#include "formwork/transforms/prune/drop_units.h"

namespace formwork {
namespace {

class LlmDropStudy final : public Study {
 public:
  struct Options {
    int64_t draws = 5, rounds = 7, steps = 200;
    void describe(Fields& f) {
      f.integer("draws", draws, "random choices to compare with", 1, 100);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
      f.integer("steps", steps, "updates of the run whose course is looked at", 4, 1000000);
    }
  };
  explicit LlmDropStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Json drops(StudyContext& ctx, const Trained& base, int64_t n) const;
  Json decoding(StudyContext& ctx) const;
  Json course(StudyContext& ctx) const;
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

double mean_of(const Json& numbers) {
  double sum = 0;
  for (const auto& number : numbers) sum += number.get<double>();
  return sum / static_cast<double>(numbers.size());
}

// Rises of the loss when n units go: by each target's scores, and on average over random attention layers.
Json LlmDropStudy::drops(StudyContext& ctx, const Trained& base, int64_t n) const {
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(32, 2));
  const double dense = held_out_loss(ctx, *base.model, *base.task);
  Json found = Json::object();
  for (const char* target : {"attn", "mlp", "block", "all"}) {
    const auto made = transformed(base.model, "llm_drop", {{"target", target}, {"n", n}}, data);
    found[target] = held_out_loss(ctx, *made.model, *base.task) - dense;
    found[fmt::format("dropped {}", target)] = made.report.at("dropped");
    if (target == std::string("attn")) found["depth"] = mean_of(made.report.at("drop_attn"));
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

// How well the scores of attention agree when they come from a quarter of the rows, or from another text.
Json other_data(StudyContext& ctx, const Trained& base) {
  const auto agreement = score_agreement(
      {base.model},
      {calibration_rows(ctx, *base.task, ctx.scaled(32, 2)),
       calibration_rows(ctx, *base.task, ctx.scaled(8, 2)), wikitext_rows(ctx, ctx.scaled(32, 2), 128)},
      "attn");
  return {{"fewer", agreement.at("spearman")[0][1]}, {"other", agreement.at("spearman")[0][2]}};
}

// How well the scores of attention at a quarter and at half of a training run agree with those at its end.
Json LlmDropStudy::course(StudyContext& ctx) const {
  const auto task = Registry<Task>::make(shakespeare(ctx, 128));
  auto spec = char_decoder_spec();
  task->prepare(spec.meta);
  task->shape(spec);
  const auto folder = std::filesystem::path(ctx.options().cache) / "llm_drop-course";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  auto training = char_decoder_training(ctx);
  training.steps = ctx.scaled(options_.steps, 4), training.seed = ctx.options().seed;
  training.folder = folder.string(), training.resume = true, training.quiet = ctx.options().quiet;
  std::vector<std::shared_ptr<Model>> checkpoints;
  for (const int64_t share : {4, 2, 1}) {
    checkpoints.push_back(build_model(spec, ctx.seed()));
    training.stop_after = training.steps / share;
    train(*checkpoints.back(), *task, training);
  }
  std::filesystem::remove_all(folder);
  const auto rows = calibration_rows(ctx, *task, ctx.scaled(32, 2));
  const auto agreement = score_agreement(checkpoints, {rows}, "attn").at("spearman");
  return {{"quarter", agreement[0][2]}, {"half", agreement[1][2]}};
}

// Seconds of 16 tokens decoded after 2048, of 8 layers of width 128 with random weights, with none, 2 and 4
// of their attentions left out.
Json LlmDropStudy::decoding(StudyContext& ctx) const {
  const at::NoGradGuard guard;
  const auto whole = build_model(char_decoder_spec(), ctx.seed());
  const int64_t before = ctx.scaled(2048, 16);
  constexpr int64_t kTokens = 16;
  const Record one = {{"input_ids", at::zeros({1, 1}, at::kLong)}};
  struct Decoding {
    std::shared_ptr<Model> model;
    Context context;
    ModelState state;
  };
  std::vector<std::unique_ptr<Decoding>> decodings;
  std::vector<std::function<void()>> works;
  for (const size_t n : {0, 2, 4}) {
    auto steps = attention_steps(*whole);
    steps.resize(n);
    auto made = std::make_unique<Decoding>();
    made->model = n == 0 ? whole : without(*whole, steps);
    made->context = made->model->make_context();
    StateOptions options;
    options.capacity = before + (options_.rounds + 1) * kTokens;
    made->state = made->model->make_state(made->context, {}, options);
    made->model->append(made->context, {{"input_ids", at::zeros({1, before}, at::kLong)}}, made->state);
    works.emplace_back([&one, decoding = made.get()] {
      for (int64_t i = 0; i < kTokens; ++i) decoding->model->append(decoding->context, one, decoding->state);
    });
    decodings.push_back(std::move(made));
  }
  const auto seconds = shortest_seconds(works, options_.rounds);
  return {{"none", seconds[0]}, {"two", seconds[1]}, {"half", seconds[2]}};
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
    claims.push_back(reported(fmt::format("mean number of {} attentions dropped, of 0 to 7", n),
                              "deep: 22, 24, 25, 26 of 0 to 31", number(found, "depth")));
  }
  const auto single =
      ctx.stage("leave out one by one", {{"base", base.key}}, [&] { return single_removals(ctx, base); });
  claims.push_back(at_least("rank correlation of score and rise of single attentions", "not given",
                            number(single, "spearman"), 0.5));
  const auto others =
      ctx.stage("score on other data", {{"base", base.key}}, [&] { return other_data(ctx, base); });
  claims.push_back(reported("rank correlation of scores, a quarter of the rows", "insensitive to size",
                            number(others, "fewer")));
  claims.push_back(reported("rank correlation of scores, WikiText-2 instead of Shakespeare",
                            "insensitive to the data set", number(others, "other")));
  const Json options = options_json(options_);
  const auto along = ctx.stage("score along a training", options, [&] { return course(ctx); });
  claims.push_back(reported("rank correlation of scores, a quarter of a training with its end",
                            "alike at all stages of training", number(along, "quarter")));
  claims.push_back(reported("rank correlation of scores, half of a training with its end",
                            "alike at all stages of training", number(along, "half")));
  const auto timed = ctx.stage("time decoding", options, [&] { return decoding(ctx); });
  const auto seconds = [&](const char* name) { return number(timed, name); };
  claims.push_back(below("time of a token after 2048, 2 attentions dropped over none", "falls with every one",
                         seconds("two") / seconds("none"), 1));
  claims.push_back(below("time of a token after 2048, 4 attentions dropped over 2", "falls with every one",
                         seconds("half") / seconds("two"), 1));
  claims.push_back(at_least("speed after 2048 tokens, half of the attentions dropped over none",
                            "1.484, Llama-2-70B", seconds("none") / seconds("half"), 1.25));
  return claims;
}

FORMWORK_PART(Study, LlmDropStudy, "llm_drop",
              "dropping the sub-blocks of least effect, against random ones");

}  // namespace
}  // namespace formwork
