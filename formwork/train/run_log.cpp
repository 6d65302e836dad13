#include "formwork/train/run_log.h"

namespace formwork {

RunLog::RunLog(const TrainOptions& options, int64_t start) : options_(options) {
  if (!options.quiet) progress_.emplace("train", options.steps, start);
  if (!options.folder.empty()) events_.emplace(options.folder, start);
}

void RunLog::step(const StepFacts& facts) {
  if (progress_ && (progress_->is_due() || facts.step == options_.steps))
    progress_->update(facts.step, {{"loss", fmt::format("{:.4f}", facts.loss)},
                                   {"tokens/s", short_number(facts.tokens_per_second)},
                                   {"memory", short_bytes(static_cast<double>(resident_bytes()))}});
  if (!events_ || (facts.step % options_.log_every != 0 && facts.step != options_.steps)) return;
  Scalars scalars = {{"loss", facts.loss},
                     {"rate", facts.rate},
                     {"gradient_norm", facts.gradient_norm},
                     {"tokens_per_second", facts.tokens_per_second}};
  scalars.insert(scalars.end(), facts.terms.begin(), facts.terms.end());
  events_->add(facts.step, scalars);
}

void RunLog::evaluation(int64_t step, const Metrics& metrics) {
  std::string line = fmt::format("step {}: {} samples", step, metrics.samples);
  Scalars scalars = {{"evaluation/samples", static_cast<double>(metrics.samples)}};
  for (const auto& [name, value] : metrics.values) {
    line += fmt::format(", {} {:.4f}", name, value);
    scalars.emplace_back("evaluation/" + name, value);
  }
  if (progress_) progress_->note(line);
  if (events_) events_->add(step, scalars);
}

void RunLog::finish() {
  if (progress_) progress_->finish();
}

}  // namespace formwork
