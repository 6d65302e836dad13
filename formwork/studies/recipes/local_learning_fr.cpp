// Local learning on transformers by feature reconstruction (2022): modules that learn by losses of their own
// need less memory than end-to-end training, and giving back what a module read keeps what later modules
// need.
//
// A part of CIFAR-10, a small Swin with two cuts at the ends of its stages. The paper's gain over giving back
// the image (0.58 points) is below the noise of 2,000 test images (about 1.1 points a run), so it is shown
// and not judged.
#include "formwork/explain/features/information_kept.h"
#include "formwork/models/built_in_specs.h"
#include "formwork/report/table.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/local_learning_runs.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

const std::vector<std::string> kLocalStageEnds = {"layers.2", "layers.5"};

class LocalLearningStudy final : public Study {
 public:
  struct Options {
    int64_t epochs = 3, batch = 64, seeds = 2, rounds = 7;
    double rate = 1e-3;
    void describe(Fields& f) {
      f.integer("epochs", epochs, "passes over the 15,000 training images", 1, 10000);
      f.integer("batch", batch, "images of an update", 1, 15000);
      f.integer("seeds", seeds, "models of each kind, of which the mean counts", 1, 100);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
      f.number("rate", rate, "highest learning rate of AdamW; falls along a cosine", 0, 1);
    }
  };
  explicit LocalLearningStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  struct Arm {
    std::string name;
    PartSpec rule;
    double accuracy = 0, kept = 0;  // in points, of one
  };
  std::vector<Arm> arms() const;
  void measure(StudyContext& ctx, Arm& arm) const;
  void add_learning(StudyContext& ctx, std::vector<Claim>& claims) const;
  void add_costs(StudyContext& ctx, std::vector<Claim>& claims) const;
  Options options_;
};

std::vector<LocalLearningStudy::Arm> LocalLearningStudy::arms() const {
  return {{"end to end", "plain"},
          {"greedy", local_rule(kLocalStageEnds, "none")},
          {"image target", local_rule(kLocalStageEnds, "image", /*conv=*/true)},
          {"feature target", local_rule(kLocalStageEnds, "features")}};
}

// Means over the seeds of the accuracy on the test images, and of what the second module's output keeps of
// the first's.
void LocalLearningStudy::measure(StudyContext& ctx, Arm& arm) const {
  PartSpec task("images");
  task.options = {{"folder", ctx.data_folder("images/cifar10/train")},
                  {"evaluation_folder", ctx.data_folder("images/cifar10/test")},
                  {"mirror", true},
                  {"shift", 4}};
  constexpr int64_t kTrainingImages = 15000;
  const auto share = 1 / static_cast<double>(options_.seeds);
  for (int64_t seed = 0; seed < options_.seeds; ++seed) {
    TrainOptions options;
    options.steps =
        ctx.scaled(options_.epochs * ((kTrainingImages + options_.batch - 1) / options_.batch), 2);
    options.batch = options_.batch, options.rate = options_.rate, options.seed = 1000 * seed;
    options.optimizer.options = {{"decay", 0.05}}, options.step_rule = arm.rule;
    options.evaluate_batch = 250;
    const auto name = fmt::format("{} {}", arm.name, seed);
    const auto trained = ctx.trained(name, built_in_spec("tiny-swin"), task, options);
    const auto found = ctx.stage("evaluate " + name, {{"model", trained.key}}, [&] {
      std::vector<Record> images;
      const int64_t samples = trained.task->evaluation_samples(), rows = std::min<int64_t>(250, samples / 2);
      for (int64_t i = 0; i < ctx.scaled(8, 2); ++i)
        images.push_back(trained.task->evaluation_batch(rows, i % (samples / rows)).inputs);
      return Json{
          {"accuracy", 100 * evaluated(ctx, *trained.model, *trained.task, 2000, "accuracy")},
          {"kept",
           information_kept(*trained.model, images, kLocalStageEnds[0], kLocalStageEnds[1]).explained}};
    });
    arm.accuracy += share * number(found, "accuracy"), arm.kept += share * number(found, "kept");
  }
}

void LocalLearningStudy::add_learning(StudyContext& ctx, std::vector<Claim>& claims) const {
  auto all = arms();
  for (auto& arm : all) measure(ctx, arm);
  const auto &end = all[0], &greedy = all[1], &image = all[2], &features = all[3];
  for (const auto& arm : all)
    claims.push_back(reported(fmt::format("accuracy in points, {}", arm.name), "not given", arm.accuracy));
  claims.push_back(at_least("points of the feature target above end to end", "close to it",
                            features.accuracy - end.accuracy, -6));
  claims.push_back(at_least("points of the feature target above the image target", "up to 0.58",
                            features.accuracy - image.accuracy, -2));
  claims.push_back(at_least("variance of module 1's output that module 2's explains, features less greedy",
                            "more is kept", features.kept - greedy.kept, 0.1));
  for (const auto& arm : all)
    claims.push_back(reported(fmt::format("the same share, {}", arm.name), "not given", arm.kept));

  std::vector<nlohmann::ordered_json> rows;
  rows.reserve(all.size());
  for (const auto& arm : all)
    rows.push_back({{"step rule", arm.name}, {"accuracy", arm.accuracy}, {"share kept", arm.kept}});
  ScatterOptions options;
  options.title = "Accuracy against what module 2 keeps of module 1's output";
  options.x = "share kept", options.y = "accuracy", options.colour = "step rule";
  ctx.draw(scatter_chart(Table::from_rows(rows), options));
}

void LocalLearningStudy::add_costs(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto costs = ctx.stage("costs", {{"rounds", options_.rounds}},
                               [&] { return local_learning_costs(ctx.seed(), options_.rounds); });
  const auto share = [&](const std::string& name, const char* of) {
    return number(costs, name + " " + of) / number(costs, std::string("end to end ") + of);
  };
  claims.push_back(at_most("memory of activations, 2 modules, over end to end", "0.64",
                           share("2 modules, features", "bytes"), 0.75));
  claims.push_back(at_most("memory of activations, 4 modules, over end to end", "0.55",
                           share("4 modules, features", "bytes"), 0.65));
  for (const char* modules : {"2 modules", "4 modules"}) {
    const std::string name = modules;
    claims.push_back(at_most(fmt::format("memory, feature target over image target, {}", name), "0.88 to 1",
                             number(costs, name + ", features bytes") / number(costs, name + ", image bytes"),
                             1));
    claims.push_back(at_most(fmt::format("time of a step, {}, over end to end", name), "not given",
                             share(name + ", features", "seconds"), 1.35));
  }
  claims.push_back(reported("memory of activations, 4 modules without reconstruction", "not given",
                            share("4 modules, greedy", "bytes")));
}

std::vector<Claim> LocalLearningStudy::run(StudyContext& ctx) {
  std::vector<Claim> claims;
  const auto exact = ctx.stage("exactness", {}, [&] { return local_learning_exactness(ctx.seed()); });
  claims.push_back(
      at_most("difference of weights, one module and plain training", "none", number(exact, "weights"), 0));
  claims.push_back(
      at_most("difference of logits, in segments and whole", "none", number(exact, "logits"), 0));
  add_costs(ctx, claims);
  add_learning(ctx, claims);
  return claims;
}

FORMWORK_PART(Study, LocalLearningStudy, "local_learning_fr",
              "modules of a small Swin that learn one at a time: memory, accuracy, what they keep");

}  // namespace
}  // namespace formwork
