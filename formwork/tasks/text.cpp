// Causal language modelling on a text: each token is predicted from those before it.
#include "formwork/tasks/prediction_task.h"
#include "formwork/tasks/text_source.h"

namespace formwork {
namespace {

// Adds bits per byte = nats / (ln 2 * bytes of the targets), which compares tokenizers (Gao et al., 2020).
class TextTask final : public PredictionTask {
 public:
  using Options = TextOptions;
  explicit TextTask(const Options& options) : options_(options) {}

  void prepare(Json& meta) override {
    if (!source_) source_.emplace(TextSource::load(options_, meta));
  }
  Json model_needs() const override { return {{"vocab", source_->tokenizer->vocab_size()}}; }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    return language_batch(random_windows(source_->corpus.train(), rows, options_.length, seed, step));
  }
  int64_t evaluation_samples() const override { return windows(1).batches(); }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    return language_batch(windows(rows)[index]);
  }

  void measure(const Record& out, const Batch& batch, Sums& sums) const override {
    PredictionTask::measure(out, batch, sums);
    const auto targets = batch.targets.contiguous();
    int64_t bytes = 0;
    for (int64_t i = 0; i < targets.numel(); ++i)
      if (const auto id = targets.const_data_ptr<int64_t>()[i]; id != ignored_target)
        bytes += source_->token_bytes[static_cast<size_t>(id)];
    sums["bytes"] += static_cast<double>(bytes);
  }
  Metrics metrics(const Sums& sums) const override {
    auto metrics = PredictionTask::metrics(sums);
    metrics.values.emplace_back("bits_per_byte", sums.at("loss") / std::log(2.0) / sums.at("bytes"));
    return metrics;
  }

 private:
  EvaluationWindows windows(int64_t rows) const {
    return {source_->corpus.validation(), rows, options_.length};
  }

  Options options_;
  std::optional<TextSource> source_;
};

FORMWORK_PART(Task, TextTask, "text", "causal language modelling on a text file or the embedded text");

}  // namespace
}  // namespace formwork
