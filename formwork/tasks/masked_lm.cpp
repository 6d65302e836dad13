// Masked language modelling (Devlin et al., 2019, "BERT"): hidden tokens are predicted from both sides.
#include "formwork/data/masked_lm.h"

#include "formwork/tasks/prediction_task.h"
#include "formwork/tasks/text_source.h"

namespace formwork {
namespace {

constexpr const char* kMaskTokens[] = {"[MASK]", "<mask>"};
constexpr uint64_t kEvaluationSeed = 0x5eedULL;

int64_t find_mask(const Tokenizer& tokenizer) {
  for (int64_t id = 0; id < tokenizer.vocab_size(); ++id)
    for (const auto* name : kMaskTokens)
      if (tokenizer.token(id) == name) return id;
  fail("masked_lm: the tokenizer has no token [MASK] or <mask>");
}

class MaskedLmTask final : public PredictionTask {
 public:
  struct Options {
    TextOptions text;
    double probability = 0.15, mask_share = 0.8, random_share = 0.1;
    void describe(Fields& f) {
      text.describe(f);
      f.number("probability", probability, "share of the tokens to predict", 0, 1);
      f.number("mask_share", mask_share, "share of these that a mask hides", 0, 1);
      f.number("random_share", random_share, "share of these replaced by a random token", 0, 1);
    }
  };
  explicit MaskedLmTask(const Options& options) : options_(options) {}

  void prepare(Json& meta) override {
    if (source_) return;
    source_.emplace(TextSource::load(options_.text, meta, {kMaskTokens[0]}));
    corruption_.mask_id = find_mask(*source_->tokenizer);
    corruption_.vocab_size = source_->tokenizer->vocab_size();
    corruption_.probability = options_.probability;
    corruption_.mask_share = options_.mask_share, corruption_.random_share = options_.random_share;
  }
  Json model_needs() const override { return {{"vocab", corruption_.vocab_size}}; }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    return language_batch(
        mask_tokens(random_windows(source_->corpus.train(), rows, options_.text.length, seed, step),
                    corruption_, seed, step));
  }
  int64_t evaluation_samples() const override { return windows(1).batches(); }

  // Each window is corrupted by its own number, so that the batch size changes nothing.
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    const auto single = windows(1);
    const int64_t first = index * rows, end = std::min(first + rows, single.batches());
    std::vector<Tensor> tokens, targets, lengths;
    for (int64_t i = first; i < end; ++i) {
      const auto row = mask_tokens(single[i], corruption_, kEvaluationSeed, i);
      tokens.push_back(row.tokens), targets.push_back(row.targets), lengths.push_back(row.lengths);
    }
    return language_batch({at::cat(tokens), at::cat(targets), at::cat(lengths)});
  }

 private:
  EvaluationWindows windows(int64_t rows) const {
    return {source_->corpus.validation(), rows, options_.text.length};
  }

  Options options_;
  MaskedLmOptions corruption_;
  std::optional<TextSource> source_;
};

FORMWORK_PART(Task, MaskedLmTask, "masked_lm", "predict hidden tokens of a text from both sides");

}  // namespace
}  // namespace formwork
