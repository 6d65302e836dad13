// A pyramid and a task of random images, small enough to train in a test, and one step's gradients of a rule.
#pragma once
#include "formwork/core/random.h"
#include "formwork/tasks/prediction_task.h"
#include "formwork/train/steps/step_rule.h"
#include "formwork/train/trainer.h"

namespace formwork {

class FewImages final : public PredictionTask {
 public:
  explicit FewImages(int64_t rows = 8, at::ScalarType dtype = at::kDouble, int64_t classes = 3)
      : classes_(classes) {
    auto draws = make_stream(3, "images");
    all_.inputs["pixel_values"] = at::rand({rows, 3, 8, 8}, draws, at::TensorOptions(at::kDouble)).to(dtype);
    all_.targets = at::arange(rows, at::kLong).remainder(classes);
  }
  void prepare(Json&) override {}
  Json model_needs() const override { return {{"head", {{"type", "classifier"}, {"classes", classes_}}}}; }
  void check(const Model&) const override {}
  Batch training_batch(int64_t rows, uint64_t, int64_t step) const override {
    const auto chosen = (at::arange(rows, at::kLong) + step).remainder(all_.rows());
    Batch batch;
    batch.inputs["pixel_values"] = all_.inputs.at("pixel_values").index_select(0, chosen);
    batch.targets = all_.targets.index_select(0, chosen);
    return batch;
  }
  int64_t evaluation_samples() const override { return all_.rows(); }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    return all_.narrow(index * rows, std::min(rows, all_.rows() - index * rows));
  }
  Batch& all() { return all_; }

 private:
  Batch all_;
  int64_t classes_;
};

inline Json window_block(int64_t window, double dropout) {
  return {{"norm", "layer_norm"},
          {"dropout", dropout},
          {"mixer", {{"type", "window_attention"}, {"heads", 2}, {"window", window}}},
          {"channel", {{"type", "mlp"}, {"hidden", 12}}}};
}

// Maps of 4 x 4 tokens of 8 channels, and after layer 1, which merges patches, 2 x 2 of 16.
inline Json small_pyramid(double dropout = 0) {
  return {{"formwork", 1},
          {"model",
           {{"type", "image_encoder"},
            {"width", 8},
            {"stem",
             {{"type", "patch"}, {"image", 8}, {"patch", 2}, {"class_token", false}, {"positions", false}}},
            {"layers", Json::array({window_block(2, dropout), "patch_merging", window_block(2, dropout),
                                    window_block(2, dropout)})},
            {"head", {{"type", "classifier"}, {"classes", 3}}}}}};
}

inline std::shared_ptr<Model> pyramid(at::ScalarType dtype = at::kDouble, double dropout = 0,
                                      uint64_t seed = 1) {
  return build_model(Spec::from_json(small_pyramid(dropout), "test"), seed, dtype);
}

// One step's gradients of a rule, on a model of its own.
struct OneStep {
  OneStep(std::shared_ptr<Model> made, const Task& task, const Json& rule_json, int64_t accumulate = 1,
          int64_t rows = 8)
      : model(std::move(made)), run{*model, task, options} {
    options.accumulate = accumulate, options.batch = rows;
    rule = Registry<StepRule>::make(PartSpec::from_json(rule_json, "test"), run);
    parameters.emplace(Trainee(*model, rule->parts()));
    batch = task.training_batch(rows, 0, 0);
  }
  StepLoss gradients() {
    parameters->clear_gradients();
    return rule->gradients(TrainingStep(run, *parameters, 0), batch);
  }
  // Of the model's parameter, or of one beside it.
  Tensor value(const std::string& name) { return param(name).value; }
  Tensor gradient(const std::string& name) { return param(name).value.grad().clone(); }
  // The gradients of all parameters of the model whose names begin so.
  std::map<std::string, Tensor> gradients_of(const std::string& prefix) {
    std::map<std::string, Tensor> found;
    for (auto& p : model->inventory().params)
      if (p.trainable() && p.name.starts_with(prefix)) found[p.name] = p.value.grad().clone();
    return found;
  }
  Param& param(const std::string& name) {
    for (auto* inventory : {&model->inventory(), rule->parts()})
      if (inventory)
        if (const auto found = inventory->by_name.find(name); found != inventory->by_name.end())
          return *found->second;
    fail("test: there is no parameter '{}'", name);
  }

  TrainOptions options;
  std::shared_ptr<Model> model;
  TrainingRun run;
  std::unique_ptr<StepRule> rule;
  std::optional<FlatParameters> parameters;
  Batch batch;
};

// Three modules: layer 0 and the merging one, then each of the others; heads and decoders as simple as can
// be.
inline Json three_modules() {
  return {{"type", "local"},
          {"cuts", {"layers.1", "layers.2"}},
          {"reconstructor", "linear"},
          {"head", {{"type", "classifier"}}}};
}

}  // namespace formwork
