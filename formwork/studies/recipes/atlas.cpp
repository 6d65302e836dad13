// ATLAS (2025): memories that learn while they read hold as many pairs as their keys have features, and a
// step on the last c pairs keeps more of them than a step on the last one; decoding costs the same at any
// position and training grows with the length.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/memory_capacity.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"

namespace formwork {
namespace {

class AtlasStudy final : public Study {
 public:
  struct Options {
    int64_t streams = 64, few_pairs_steps = 1500, many_pairs_steps = 0, rounds = 7;
    void describe(Fields& f) {
      f.integer("streams", streams, "streams of pairs that are written without training", 1, 100000);
      f.integer("few_pairs_steps", few_pairs_steps, "updates on the recall of 8 pairs", 1, 1000000);
      f.integer("many_pairs_steps", many_pairs_steps,
                "updates on the recall of 16 pairs, say 2500 (minutes); 0: left out", 0, 1000000);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
    }
  };
  explicit AtlasStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  double trained_recall(StudyContext& ctx, int64_t window, int64_t pairs) const;
  Json costs(StudyContext& ctx) const;
  void add_capacity(StudyContext& ctx, std::vector<Claim>& claims) const;
  void add_recall(StudyContext& ctx, std::vector<Claim>& claims) const;
  void add_costs(StudyContext& ctx, std::vector<Claim>& claims) const;
  Options options_;
};

// Accuracy of a trained layer with matrix memories, by the exact recurrence.
double AtlasStudy::trained_recall(StudyContext& ctx, int64_t window, int64_t pairs) const {
  const Json mixer = {{"type", "omeganet"},     {"heads", 8}, {"memory", "matrix"}, {"window", window},
                      {"features", "identity"}, {"chunk", 1}};
  PartSpec task("associative_recall");
  task.options = {{"keys", 32}, {"values", 32}, {"pairs", pairs}, {"queries", pairs}};
  TrainOptions options;
  options.steps = ctx.scaled(pairs > 8 ? options_.many_pairs_steps : options_.few_pairs_steps);
  options.batch = 16, options.rate = 3e-3;
  const auto name = fmt::format("recall-{}-{}", window, pairs);
  const auto trained = ctx.trained(name, small_spec("decoder", 64, 1, {{"mixer", mixer}}), task, options);
  const auto found = ctx.stage("evaluate " + name, {{"model", trained.key}}, [&] {
    return Json{{"accuracy", evaluated(ctx, *trained.model, *trained.task, 512, "accuracy")}};
  });
  return number(found, "accuracy");
}

std::shared_ptr<Model> timed_model() {
  auto spec = small_spec("decoder", 64, 1, {{"mixer", "atlas"}});
  spec.model.options["vocab"] = 64;
  return build_model(spec, 0);
}

Record random_ids(int64_t rows, int64_t tokens) {
  return {{"input_ids", at::arange(rows * tokens, at::kLong).mul(37).remainder(64).view({rows, tokens})}};
}

// Seconds of a step of decoding after 10 and after 4000 tokens, and of a training pass over T and 2 T tokens.
Json AtlasStudy::costs(StudyContext& ctx) const {
  const auto model = timed_model();
  const auto state_after = [&](int64_t tokens) {
    const at::NoGradGuard guard;
    auto context = model->make_context();
    auto state = std::make_shared<ModelState>(model->make_state(context, {}, {}));
    model->append(context, random_ids(1, tokens), *state);
    return state;
  };
  const auto decode = [&](const std::shared_ptr<ModelState>& state) {
    return [&model, state] {
      const at::NoGradGuard guard;
      auto context = model->make_context();
      auto here = state->fork(at::zeros({1}, at::kLong));
      for (int i = 0; i < 16; ++i) model->append(context, random_ids(1, 1), here);
    };
  };
  const auto train = [&](int64_t tokens) {
    return [&model, in = random_ids(2, tokens)] {
      auto context = model->make_context();
      context.mode.train = true;
      model->forward(context, in).at("logits").square().mean().backward();
    };
  };
  const int64_t length = ctx.scaled(256, 64);
  // Steps of decoding are short, so more of them find a quiet moment.
  const auto steps = shortest_seconds({decode(state_after(10)), decode(state_after(ctx.scaled(4000, 20)))},
                                      10 * options_.rounds);
  const auto passes = shortest_seconds({train(length), train(2 * length)}, options_.rounds);
  return {{"early", steps[0] / 16}, {"late", steps[1] / 16}, {"short", passes[0]}, {"long", passes[1]}};
}

void AtlasStudy::add_capacity(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto found = ctx.stage("fit pairs", {}, [&] { return memory_capacity(ctx.seed()); });
  for (const auto& [name, pairs] : {std::pair{"identity", 8}, {"degree 2", 44}}) {
    claims.push_back(at_most(fmt::format("least squares error, {}, {} pairs of 8 channels", name, pairs),
                             "0 up to the number of features", number(found, fmt::format("{} at", name)),
                             1e-8));
    claims.push_back(at_least(fmt::format("least squares error, {}, {} pairs", name, pairs + 1),
                              "above 0 beyond it", number(found, fmt::format("{} above", name)), 1e-3));
  }
  for (const int hidden : {8, 16, 32})
    claims.push_back(reported(fmt::format("error of mlp2 with {} hidden units, 44 pairs", hidden),
                              "falls with width", number(found, fmt::format("mlp2 {}", hidden))));
}

void AtlasStudy::add_recall(StudyContext& ctx, std::vector<Claim>& claims) const {
  const int64_t streams = ctx.scaled(options_.streams);
  const auto found = ctx.stage("write pairs", {{"streams", streams}},
                               [&] { return recall_without_training(ctx.seed(), streams); });
  const auto gain = [&](const char* rule, const char* keys) {
    return number(found, fmt::format("{} {}", rule, keys)) - number(found, fmt::format("delta {}", keys));
  };
  claims.push_back(
      at_least("recall of the last 16 of 32 pairs, Omega less delta", "higher", gain("omega", "free"), 0.1));
  claims.push_back(at_least("the same with keys that share half their squared norm", "higher",
                            gain("omega", "shared"), 0.1));
  claims.push_back(
      at_least("recall, delta of degree 2 less identity", "higher", gain("degree 2", "free"), 0.1));
  claims.push_back(at_least("the same with keys that share half", "higher", gain("degree 2", "shared"), 0.1));
  for (const char* rule : {"delta", "omega", "degree 2", "omega degree 2"})
    for (const char* keys : {"free", "shared"})
      claims.push_back(reported(fmt::format("recall, {}, keys {}", rule, keys), "not given",
                                number(found, fmt::format("{} {}", rule, keys))));
  claims.push_back(
      reported("loss in the window, gradient descent", "not given", number(found, "descent loss")));
  claims.push_back(
      reported("loss in the window, Muon", "lower, for trained deep memories", number(found, "muon loss")));
}

void AtlasStudy::add_costs(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto found = ctx.stage("time", {{"options", options_json(options_)}}, [&] { return costs(ctx); });
  claims.push_back(at_most("time of a decoding step, position 4000 over position 10", "1: constant memory",
                           number(found, "late") / number(found, "early"), 1.2));
  claims.push_back(at_most("time of training, 512 over 256 tokens", "2: linear in the length",
                           number(found, "long") / number(found, "short"), 2.3));
}

std::vector<Claim> AtlasStudy::run(StudyContext& ctx) {
  std::vector<Claim> claims;
  add_capacity(ctx, claims);
  add_recall(ctx, claims);
  add_costs(ctx, claims);
  for (const int64_t pairs : {8, 16}) {
    if (pairs > 8 && options_.many_pairs_steps == 0) continue;
    for (const int64_t window : {1, 16})
      claims.push_back(reported(fmt::format("accuracy of trained recall, {} pairs, {}", pairs,
                                            window == 1 ? "delta" : "Omega of 16"),
                                "not given", trained_recall(ctx, window, pairs)));
  }
  return claims;
}

FORMWORK_PART(Study, AtlasStudy, "atlas",
              "what memories hold that learn while they read, and what they cost");

}  // namespace
}  // namespace formwork
