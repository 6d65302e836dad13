#include "formwork/studies/recipes/local_learning_runs.h"

#include "formwork/core/random.h"
#include "formwork/models/built_in_specs.h"
#include "formwork/report/tensor_peak.h"
#include "formwork/studies/recipes/timing.h"
#include "formwork/tasks/prediction_task.h"
#include "formwork/train/steps/step_rule.h"
#include "formwork/train/trainer.h"

namespace formwork {
namespace {

constexpr int64_t kLocalCostRows = 64, kLocalClasses = 10;

// Random images with random labels: what a step costs does not depend on them.
class RandomImages final : public PredictionTask {
 public:
  explicit RandomImages(uint64_t seed) {
    auto draws = make_stream(seed, "local_learning.images");
    batch_.inputs["pixel_values"] =
        at::rand({kLocalCostRows, 3, 32, 32}, draws, at::TensorOptions(at::kFloat));
    batch_.targets = at::randint(kLocalClasses, {kLocalCostRows}, draws, at::TensorOptions(at::kLong));
  }
  void prepare(Json&) override {}
  Json model_needs() const override {
    return {{"head", {{"type", "classifier"}, {"classes", kLocalClasses}}}};
  }
  void check(const Model&) const override {}
  Batch training_batch(int64_t rows, uint64_t, int64_t) const override {
    return batch_.narrow(0, std::min(rows, kLocalCostRows));
  }
  int64_t evaluation_samples() const override { return kLocalCostRows; }
  Batch evaluation_batch(int64_t, int64_t) const override { return batch_; }

 private:
  Batch batch_;
};

std::shared_ptr<Model> seeded_swin(const Task& task, uint64_t seed) {
  auto spec = built_in_spec("tiny-swin");
  task.shape(spec);
  return build_model(spec, seed);
}

// A model with all that one step's gradients need.
struct StepBench {
  StepBench(const Task& task, const PartSpec& rule_spec, uint64_t seed)
      : model(seeded_swin(task, seed)),
        run{*model, task, options},
        rule(Registry<StepRule>::make(rule_spec, run)),
        parameters({*model, rule->parts()}),
        batch(task.training_batch(kLocalCostRows, seed, 0)) {}
  void gradients() {
    parameters.clear_gradients();
    rule->gradients(TrainingStep(run, parameters, 0), batch);
  }

  TrainOptions options;
  std::shared_ptr<Model> model;
  TrainingRun run;
  std::unique_ptr<StepRule> rule;
  FlatParameters parameters;
  Batch batch;
};

double greatest_gap(const Model& a, const Model& b) {
  double greatest = 0;
  auto other = b.inventory().params.begin();
  for (const auto& param : a.inventory().params)
    greatest = std::max(greatest, (param.value - (other++)->value).abs().max().item<double>());
  return greatest;
}

}  // namespace

PartSpec local_rule(const std::vector<std::string>& cuts, const std::string& target, bool conv) {
  PartSpec rule("local");
  rule.options = {{"cuts", cuts}, {"target", target}, {"reconstructor", conv ? "conv" : "linear"}};
  return rule;
}

Json local_learning_costs(uint64_t seed, int64_t rounds) {
  const RandomImages task(seed);
  const std::vector<std::string> two = {"layers.2"}, four = {"layers.0", "layers.2", "layers.4"};
  const std::vector<std::pair<std::string, PartSpec>> rules = {
      {"end to end", "plain"},
      {"2 modules, features", local_rule(two, "features")},
      {"2 modules, image", local_rule(two, "image")},
      {"4 modules, features", local_rule(four, "features")},
      {"4 modules, image", local_rule(four, "image")},
      {"4 modules, greedy", local_rule(four, "none")},
  };
  Json found;
  std::vector<std::unique_ptr<StepBench>> benches;
  std::vector<std::function<void()>> works;
  for (const auto& [name, rule] : rules) {
    auto& bench = *benches.emplace_back(std::make_unique<StepBench>(task, rule, seed));
    bench.gradients();  // what is made once is there
    const TensorPeak peak;
    bench.gradients();
    found[name + " bytes"] = peak.bytes();
    works.emplace_back([&bench] { bench.gradients(); });
  }
  const auto seconds = shortest_seconds(works, rounds);
  for (size_t i = 0; i < rules.size(); ++i) found[rules[i].first + " seconds"] = seconds[i];
  return found;
}

Json local_learning_exactness(uint64_t seed) {
  RandomImages task(seed);
  TrainOptions options;
  options.steps = 10, options.batch = 16, options.quiet = true;
  auto plain = seeded_swin(task, seed), local = seeded_swin(task, seed);
  train(*plain, task, options);
  options.step_rule = PartSpec("local", {{"modules", 1}});
  train(*local, task, options);

  const at::NoGradGuard guard;
  const auto batch = task.evaluation_batch(kLocalCostRows, 0);
  auto whole = plain->make_context(), cut = plain->make_context();
  const auto logits = plain->forward(whole, batch.inputs).at("logits");
  auto streams = plain->start(cut, batch.inputs);
  for (int64_t i = 0; i < static_cast<int64_t>(plain->segments().size()); ++i)
    plain->run(cut, i, i + 1, streams);
  Record out;
  plain->finish(cut, streams, out);
  return {{"weights", greatest_gap(*plain, *local)},
          {"logits", (logits - out.at("logits")).abs().max().item<double>()}};
}

}  // namespace formwork
