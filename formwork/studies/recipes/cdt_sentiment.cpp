#include "formwork/studies/recipes/cdt_sentiment.h"

#include <numeric>

#include "formwork/data/random.h"
#include "formwork/explain/attribution/token_contributions.h"
#include "formwork/explain/attribution/words.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

Trained sentiment_model(StudyContext& ctx, int64_t steps) {
  auto spec =
      small_spec("encoder", 64, 2,
                 {{"type", "post"},
                  {"norm", "layer_norm"},
                  {"mixer", {{"type", "attention"}, {"heads", 4}, {"bias", true}, {"out_bias", true}}},
                  {"channel", {{"type", "mlp"}, {"hidden", 256}}}});
  spec.model.options["norm"] = Json(), spec.model.options["stem_norm"] = "layer_norm";
  spec.model.options["position"] = "learned";
  TrainOptions options;
  options.steps = ctx.scaled(steps), options.rate = 1e-3;
  return ctx.trained("sst2-post", spec, sentiment(ctx), options);
}

double logit(Model& model, const std::vector<int64_t>& ids, int64_t label) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::tensor(ids, at::kLong).unsqueeze(0)}})["logits"][0][label]
      .item<double>();
}

std::vector<int64_t> without(const std::vector<int64_t>& ids, const std::vector<Word>& words,
                             const std::vector<size_t>& gone) {
  std::vector<int64_t> left;
  for (size_t w = 0; w < words.size(); ++w)
    if (std::find(gone.begin(), gone.end(), w) == gone.end())
      for (const int64_t place : words[w].places) left.push_back(ids[static_cast<size_t>(place)]);
  return left;
}

// Words by falling score.
std::vector<size_t> ranked(Model& model, const std::vector<int64_t>& ids, const std::vector<Word>& words,
                           int64_t label) {
  TokenOptions options;
  options.rules.sign_repair = "all", options.label = label;
  const Record row{{"input_ids", at::tensor(ids, at::kLong).unsqueeze(0)}};
  const auto found = token_contributions(model, row, blocks_of(static_cast<int64_t>(ids.size()), 1), options);
  std::vector<double> scores;
  for (const auto& word : words) {
    scores.push_back(0);
    for (const int64_t place : word.places) scores.back() += found.scores[static_cast<size_t>(place)];
  }
  std::vector<size_t> order(words.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

Json deletions(StudyContext& ctx, const Trained& trained, const SentimentOptions& options) {
  auto& model = *trained.model;
  const TokenNames names(model.spec().meta);
  const int64_t wanted = ctx.scaled(options.sentences, 4);
  const auto gone = static_cast<size_t>(options.words);
  int64_t seen = 0, lower = 0;
  double by_rank = 0, by_chance = 0;
  for (int64_t i = 0; i < trained.task->evaluation_samples() && seen < wanted; ++i) {
    const auto batch = trained.task->evaluation_batch(1, i);
    const auto row = real_row(batch.inputs, 0).at("input_ids").flatten().contiguous();
    const std::vector<int64_t> ids(row.const_data_ptr<int64_t>(),
                                   row.const_data_ptr<int64_t>() + row.numel());
    const auto label = batch.targets[0].item<int64_t>();
    const auto words = names.words(ids);
    // As many words must be left to tell chosen ones from random ones.
    if (words.size() < 2 * gone || logit(model, ids, label) <= logit(model, ids, 1 - label)) continue;
    auto order = ranked(model, ids, words, label);
    Random random{ctx.seed(), static_cast<uint64_t>(i)};
    auto chance = random.permutation(static_cast<int64_t>(words.size()));
    const std::vector<size_t> top(order.begin(), order.begin() + options.words),
        drawn(chance.begin(), chance.begin() + options.words);
    const double before = logit(model, ids, label), after_top = logit(model, without(ids, words, top), label),
                 after_drawn = logit(model, without(ids, words, drawn), label);
    ++seen, lower += after_top < after_drawn;
    by_rank += before - after_top, by_chance += before - after_drawn;
  }
  const auto count = static_cast<double>(seen);
  return {{"sentences", seen},
          {"lower", static_cast<double>(lower) / count},
          {"by rank", by_rank / count},
          {"by chance", by_chance / count}};
}

}  // namespace

std::vector<Claim> cdt_sentiment_claims(StudyContext& ctx, const SentimentOptions& options) {
  const auto trained = sentiment_model(ctx, options.steps);
  const Json settings = {{"model", trained.key}, {"options", options_json(options)}};
  const auto found = ctx.stage("words", settings, [&] {
    auto row = deletions(ctx, trained, options);
    row["accuracy"] = evaluated(ctx, *trained.model, *trained.task, 872, "accuracy");
    return row;
  });
  return {at_least("sentences whose label loses more by the top words than by random ones", "not given",
                   number(found, "lower"), 0.8),
          reported("sentences", "not given", number(found, "sentences")),
          reported("mean loss of the label's logit by the top words", "not given", number(found, "by rank")),
          reported("the same by random words", "not given", number(found, "by chance")),
          reported("accuracy on SST-2", "not given", number(found, "accuracy"))};
}

}  // namespace formwork
