#include "formwork/train/trainer.h"

#include <chrono>

#include "formwork/core/file.h"
#include "formwork/models/model_io.h"
#include "formwork/train/run_folder.h"
#include "formwork/train/run_log.h"
#include "formwork/train/steps/step_rule.h"
#include "formwork/train/trained_slices.h"

namespace formwork {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One run; `step_` counts finished updates.
class Trainer {
 public:
  Trainer(Model& model, Task& task, const TrainOptions& options)
      : model_(model),
        task_(task),
        options_(options),
        run_{model, task, options},
        rule_(Registry<StepRule>::make(options.step_rule, run_)),
        optimizer_(Registry<Optimizer>::make(options.optimizer, {model, rule_->parts()})),
        schedule_(Registry<Schedule>::make(options.schedule)),
        folder_(options) {
    if (options.ema > 0) average_.emplace(optimizer_->parameters(), options.ema);
    auto running = this->running();
    folder_.restore(running);
    step_ = folder_.start();
    if (!options.train_from.empty()) slices_.emplace(model, optimizer_->parameters(), options.train_from);
  }

  TrainResult run() {
    RunLog log(options_, step_);
    const int64_t last =
        options_.stop_after > 0 ? std::min(options_.stop_after, options_.steps) : options_.steps;
    while (step_ < last) {
      log.step(update());
      if (is_due(options_.evaluate_every) && step_ < options_.steps)
        log.evaluation(step_, measure(options_.evaluate_samples));
      if (is_due(save_every())) folder_.save(step_, running());
    }
    folder_.save(step_, running());
    if (step_ == options_.steps) {
      if (average_) average_->swap();
      result_.evaluation = measure_current(0);
      log.evaluation(step_, result_.evaluation);
    }
    log.finish();
    result_.step = step_, result_.samples = step_ * options_.batch;
    result_.settings = options_.in_force();
    return result_;
  }

 private:
  Running running() { return {model_, *optimizer_, *rule_, average_ ? &*average_ : nullptr}; }
  bool is_due(int64_t every) const { return every > 0 && step_ % every == 0; }
  int64_t save_every() const {
    return options_.save_every > 0 ? options_.save_every : std::max<int64_t>(1, options_.steps / 10);
  }

  StepFacts update() {
    const auto start = Clock::now();
    const auto batch = task_.training_batch(options_.batch, static_cast<uint64_t>(options_.seed), step_);
    auto& parameters = optimizer_->parameters();
    parameters.clear_gradients();
    StepFacts facts;
    auto loss = rule_->gradients(TrainingStep(run_, parameters, step_), batch);
    facts.loss = loss.loss, facts.terms = std::move(loss.terms);
    require_finite(facts.loss, "loss");
    if (slices_) slices_->clear_other_gradients();
    const auto clipped = rule_->clip(parameters, options_.clip);
    facts.gradient_norm = clipped.norm;
    require_finite(facts.gradient_norm, "gradient's norm");
    Update update;
    update.step = step_ + 1, update.gradient_scale = clipped.scale;
    facts.rate = update.rate = options_.rate * schedule_->factor(step_, options_.steps);
    {
      // An optimizer's own products (Muon's) are in the precision of the others.
      const PrecisionGuard precision(options_.precision, batch.targets.device().type());
      optimizer_->step(update);
    }
    if (slices_) slices_->restore_others();
    facts.step = ++step_;
    if (average_) average_->update(step_);
    const int64_t tokens = batch.token_count();
    result_.tokens += tokens;
    const double seconds = seconds_since(start);
    result_.seconds += seconds;
    result_.loss = facts.loss;
    facts.tokens_per_second = static_cast<double>(tokens) / seconds;
    return facts;
  }

  void require_finite(double value, const char* what) const {
    if (std::isfinite(value)) return;
    const int64_t first = step_ * options_.batch;
    fail("train: the {} is {} at step {}, rows {} to {} of seed {}; {}; try a lower rate or a longer warm-up",
         what, value, step_ + 1, first, first + options_.batch - 1, options_.seed, folder_.last_checkpoint());
  }

  Metrics measure(int64_t samples) {
    if (!average_) return measure_current(samples);
    average_->swap();
    auto metrics = measure_current(samples);
    average_->swap();
    return metrics;
  }

  Metrics measure_current(int64_t samples) {
    EvaluateOptions options;
    options.batch = options_.evaluate_batch > 0 ? options_.evaluate_batch : options_.batch;
    options.samples = samples;
    options.precision = options_.precision;
    return evaluate(model_, task_, options);
  }

  Model& model_;
  Task& task_;
  const TrainOptions& options_;
  const TrainingRun run_;
  std::unique_ptr<StepRule> rule_;
  std::unique_ptr<Optimizer> optimizer_;  // lets go of the rule's parts before they go
  std::unique_ptr<Schedule> schedule_;
  RunFolder folder_;
  std::optional<WeightAverage> average_;
  std::optional<TrainedSlices> slices_;
  int64_t step_ = 0;
  TrainResult result_;
};

}  // namespace

Json TrainResult::to_json() const {
  Json json = {{"step", step}, {"samples", samples}, {"tokens", tokens},
               {"loss", loss}, {"seconds", seconds}, {"tokens_per_second", tokens_per_second()}};
  if (evaluation.samples > 0) json["evaluation"] = evaluation.to_json();
  json["settings"] = settings;
  return json;
}

TrainResult train(Model& model, Task& task, const TrainOptions& options) {
  options.check();
  task.prepare(model.inventory().spec.meta);
  task.check(model);
  auto result = Trainer(model, task, options).run();
  if (options.folder.empty() || result.step < options.steps) return result;
  save_model(model, options.folder);
  write_atomically(options.folder + "/result.json", result.to_json().dump(2) + "\n");
  return result;
}

}  // namespace formwork
