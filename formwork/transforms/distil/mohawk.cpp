// MOHAWK: a transformer becomes a model with other token mixers, in three widening stages.
//
//   1 matrices       the mixers' matrices against attention's, layer by layer (train/objectives/matrices.cpp)
//   2 hidden_states  the mixers' or the blocks' outputs, on the teacher's stream   (hidden_states.cpp)
//   3 logits         the whole model's predictions, everything training   (logits.cpp)
//
// The student is the teacher with its mixers exchanged (exchange_mixers), so that embedding, norms, channel
// mixers and head start as the teacher's; any mixer with the facet `matrix` will do. Stages 1 and 2 train the
// new mixers alone, but for target `block`, where everything trains. Of a new discrete Mamba-2 nothing but
// the matrix acts at first: its convolution and its gate start as identities. Source: Transformers to SSMs:
// Distilling Quadratic Knowledge to Subquadratic Models (2024).
#include <algorithm>

#include "formwork/transforms/distil/distillation.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

struct MohawkOptions {
  PartSpec mixer = "discrete_mamba2", optimizer = "adamw";
  PartSpec schedule{"wsd", {{"decay", 0.10526315789473684}, {"floor", 5e-5}}};
  std::vector<double> keep, stages = {1, 2, 3}, tokens = {80e6, 160e6, 2.76e9}, rates = {2e-4, 1e-4, 1e-4};
  std::string target = "mixer", precision = "float32";
  int64_t gap = 1, batch = 128, accumulate = 1, evaluate_batch = 0;
  double temperature = 1, clip = 1;
  bool repeat_heads = false, checkpoint = false;
  void describe(Fields& f) {
    f.part("mixer", mixer, "mixers", "what takes attention's place");
    f.numbers("keep", keep, "layers, from 0, that keep the teacher's mixer (hybrids)");
    f.numbers("stages", stages, "which of the stages 1, 2 and 3, ascending");
    f.numbers("tokens", tokens, "tokens of stages 1, 2 and 3, rounded to whole updates");
    f.numbers("rates", rates, "highest learning rates of stages 1, 2 and 3");
    f.choice("target", target, {"mixer", "block"},
             "what stage 2 compares: the mixers' outputs, or whole layers'");
    f.integer("gap", gap, "layers that run one into the other in stage 2 (target block)", 1, 10000);
    f.number("temperature", temperature, "the student's logits are divided by it in stage 3", 1e-6, 1e6);
    f.flag("repeat_heads", repeat_heads, "the student may have a multiple of the teacher's heads in stage 1");
    f.integer("batch", batch, "rows of an update", 1, 1 << 20);
    f.integer("accumulate", accumulate, "parts that an update's rows are run in, to save memory", 1, 1 << 20);
    f.integer("evaluate_batch", evaluate_batch, "rows of an evaluation batch; 0: as `batch`");
    f.number("clip", clip, "greatest global norm of the gradient; 0: not clipped", 0, 1e9);
    f.part("optimizer", optimizer, "optimizers", "how gradients change parameters");
    f.part("schedule", schedule, "schedules", "the rate's course in each stage");
    describe_precision(f, precision);
    f.flag("checkpoint", checkpoint, "recompute activations in the backward pass, to save memory");
  }
};

constexpr size_t kMohawkStages = 3;
constexpr int64_t kDataSeeds = 1000;  // between the stages' orders of the data

class Mohawk final : public Distillation {
 public:
  using Options = MohawkOptions;
  explicit Mohawk(const Options& options) : options_(options) {
    check_stages();
    for (const auto& [name, list] : {std::pair{"tokens", &options.tokens}, {"rates", &options.rates}})
      if (list->size() != kMohawkStages)
        fail("mohawk: option '{}' is of stages 1, 2 and 3: expected 3 numbers, found {}", name, list->size());
  }

  DistilStudent student(const std::shared_ptr<Model>& teacher, uint64_t seed) const override {
    PartSpec exchange("exchange_mixers");
    exchange.options = {{"mixer", options_.mixer.to_json()}, {"keep", options_.keep}, {"seed", seed}};
    const auto made = Registry<Transform>::make(exchange)->apply(teacher, {});
    return {made.model, made.report.at("exchanged").get<std::vector<std::string>>()};
  }

  std::vector<DistilStage> stages(const DistilStudent& student, const Task& task) const override {
    std::vector<std::string> fresh;
    for (const auto& path : student.fresh) fresh.push_back(path + ".*");
    const auto row = static_cast<double>(task.training_batch(1, 0, 0).token_count());
    std::vector<DistilStage> list;
    for (const double number : options_.stages) {
      auto stage = named(static_cast<size_t>(number));
      if (number == 1 || (number == 2 && options_.target == "mixer")) stage.train = fresh;
      stage.options = training(static_cast<size_t>(number), row);
      list.push_back(std::move(stage));
    }
    return list;
  }

 private:
  void check_stages() const {
    const auto& stages = options_.stages;
    const auto shown = fmt::format("{}", fmt::join(stages, ", "));
    if (stages.empty()) fail("mohawk: option 'stages' is empty; expected some of 1, 2, 3");
    for (const double stage : stages)
      if (stage != 1 && stage != 2 && stage != 3)
        fail("mohawk: there are stages 1, 2 and 3, found {}", shown);
    for (size_t i = 1; i < stages.size(); ++i)
      if (stages[i] <= stages[i - 1])
        fail("mohawk: each stage builds on those before it: expected ascending stages, found {}", shown);
  }

  DistilStage named(size_t number) const {
    DistilStage stage;
    if (number == 1) {
      stage.name = "matrices";
      stage.objectives = {PartSpec("matrices", {{"repeat_heads", options_.repeat_heads}})};
    } else if (number == 2) {
      stage.name = "hidden_states";
      stage.objectives = {PartSpec("hidden_states", {{"target", options_.target}, {"gap", options_.gap}})};
    } else {
      stage.name = "logits";
      stage.objectives = {PartSpec("logits", {{"temperature", options_.temperature}})};
    }
    return stage;
  }

  TrainOptions training(size_t number, double row) const {
    TrainOptions train;
    const double updates = options_.tokens[number - 1] / (row * static_cast<double>(options_.batch));
    train.steps = std::max<int64_t>(1, std::llround(updates));
    train.batch = options_.batch, train.accumulate = options_.accumulate;
    train.evaluate_batch = options_.evaluate_batch;
    train.rate = options_.rates[number - 1], train.clip = options_.clip;
    train.optimizer = options_.optimizer, train.schedule = options_.schedule;
    train.precision = options_.precision, train.checkpoint = options_.checkpoint;
    train.seed = kDataSeeds * static_cast<int64_t>(number);
    return train;
  }

  Options options_;
};

FORMWORK_PART(Distillation, Mohawk, "mohawk", "other mixers by matrices, hidden states, then predictions");

}  // namespace
}  // namespace formwork
