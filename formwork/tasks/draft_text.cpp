// Self-distillation of drafts (tap/transfer.h): at some tokens of a text, the anchors n, a model gives drafts
// i = 1 .. k of the tokens after the next one. Their target is what the model itself says with the true
// tokens in place,
//
//   loss = mean over anchors of sum_i w_i KL(p_{n+i+1} || p~_{n+i+1}) / sum_i w_i,     w_i = decay^(i - 1)
//
// in nats, p_{n+i+1} read at token n + i of the same pass and without gradient. Anchors are a share of the
// tokens that k true ones follow, drawn anew for each training row; in evaluation they stand at equal
// distances. Source: Parallel Decoding via Hidden Transfer for Lossless Large Language Model Acceleration
// (2024).
#include "formwork/core/random.h"
#include "formwork/tasks/prediction_task.h"
#include "formwork/tasks/text_source.h"

namespace formwork {
namespace {

class DraftTextTask final : public Task {
 public:
  struct Options {
    TextOptions text;
    int64_t k = 3, draft = 0;
    double anchors = 0.25, decay = 1;
    void describe(Fields& f) {
      text.describe(f);
      f.integer("k", k, "drafts of each anchor that the model gives", 1, 1024);
      f.integer("draft", draft, "the draft that is trained; 0: all", 0, 1024);
      f.number("anchors", anchors, "share of the tokens of a row that are anchors", 1e-6, 1);
      f.number("decay", decay, "weight of a draft over that of the one before it", 1e-6, 1);
    }
  };
  explicit DraftTextTask(const Options& options) : options_(options) {
    if (options.text.length <= options.k)
      fail("task 'draft_text': rows of {} tokens hold no anchor that {} drafts follow", options.text.length,
           options.k);
    if (options.draft > options.k)
      fail("task 'draft_text': option 'draft' names draft {} of {}", options.draft, options.k);
  }

  void prepare(Json& meta) override {
    if (!source_) source_.emplace(TextSource::load(options_.text, meta));
  }
  Json model_needs() const override { return {{"vocab", source_->tokenizer->vocab_size()}}; }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override;
  int64_t evaluation_samples() const override { return windows(1).batches(); }
  Batch evaluation_batch(int64_t rows, int64_t index) const override;

  Tensor objective(const Record& out, const Batch& batch, double scale) const override;
  void measure(const Record& out, const Batch& batch, Sums& sums) const override;
  Metrics metrics(const Sums& sums) const override;

 private:
  // Logits [B, A, V] of draft i, and of the true tokens in its place.
  struct Pair {
    Tensor draft, truth;
  };
  EvaluationWindows windows(int64_t rows) const {
    return {source_->corpus.validation(), rows, options_.text.length};
  }
  Batch draft_batch(const TokenBatch& tokens, const Tensor& anchors) const;
  Tensor logits(const Record& out, const Batch& batch) const;
  Pair pair(const Tensor& logits, const Batch& batch, int64_t i) const;
  double weight(int64_t i) const {
    if (options_.draft > 0) return i == options_.draft ? 1 : 0;
    return std::pow(options_.decay, static_cast<double>(i - 1));
  }
  double total_weight() const {
    double total = 0;
    for (int64_t i = 1; i <= options_.k; ++i) total += weight(i);
    return total;
  }

  Options options_;
  std::optional<TextSource> source_;
};

// Targets [B, A, k]: the true token n + i + 1 of anchor n and draft i.
Batch DraftTextTask::draft_batch(const TokenBatch& tokens, const Tensor& anchors) const {
  auto batch = language_batch(tokens);
  // Padding stands behind all real tokens, which do not see it, and has no targets.
  batch.inputs.erase("attention_mask");
  batch.inputs["anchors"] = anchors;
  std::vector<Tensor> targets;
  for (int64_t i = 1; i <= options_.k; ++i) targets.push_back(tokens.targets.gather(1, anchors + i));
  batch.targets = at::stack(targets, 2);
  return batch;
}

Batch DraftTextTask::training_batch(int64_t rows, uint64_t seed, int64_t step) const {
  const int64_t places = options_.text.length - options_.k;
  const auto share =
      static_cast<int64_t>(std::llround(options_.anchors * static_cast<double>(options_.text.length)));
  auto stream = make_stream(seed, "draft_text.anchors", static_cast<uint64_t>(step));
  const auto order = at::rand({rows, places}, stream, at::kDouble).argsort(1, /*descending=*/false);
  const auto anchors = order.narrow(1, 0, std::clamp<int64_t>(share, 1, places)).contiguous();
  return draft_batch(random_windows(source_->corpus.train(), rows, options_.text.length, seed, step),
                     anchors);
}

Batch DraftTextTask::evaluation_batch(int64_t rows, int64_t index) const {
  const auto tokens = windows(rows)[index];
  const auto distance = static_cast<int64_t>(1 / options_.anchors);
  const auto anchors = at::arange(0, options_.text.length - options_.k, distance, at::kLong);
  return draft_batch(tokens, anchors.unsqueeze(0).expand({tokens.tokens.size(0), -1}).contiguous());
}

Tensor DraftTextTask::logits(const Record& out, const Batch& batch) const {
  const auto found = out.find("logits");
  if (found == out.end()) fail("task 'draft_text' needs a model that gives 'logits'; use another head");
  const int64_t tokens = batch.inputs.at("input_ids").size(1),
                drafts = batch.inputs.at("anchors").size(1) * options_.k;
  if (found->second.size(1) != tokens + drafts)
    fail(
        "task 'draft_text': expected logits of {} tokens and {} drafts of {} anchors, found {}; does the "
        "model "
        "give k drafts?",
        tokens, drafts, batch.inputs.at("anchors").size(1), found->second.size(1));
  return found->second;
}

DraftTextTask::Pair DraftTextTask::pair(const Tensor& logits, const Batch& batch, int64_t i) const {
  const auto& anchors = batch.inputs.at("anchors");
  const int64_t tokens = batch.inputs.at("input_ids").size(1), each = anchors.size(1);
  const auto index = (anchors + i).unsqueeze(-1).expand({-1, -1, logits.size(2)});
  return {logits.narrow(1, tokens + (i - 1) * each, each),
          logits.narrow(1, 0, tokens).detach().gather(1, index)};
}

Tensor DraftTextTask::objective(const Record& out, const Batch& batch, double scale) const {
  const auto scores = logits(out, batch);
  Tensor sum;
  for (int64_t i = 1; i <= options_.k; ++i) {
    if (weight(i) == 0) continue;
    const auto [draft, truth] = pair(scores, batch, i);
    const auto type = at::promote_types(draft.scalar_type(), at::kFloat);
    const auto log_p = truth.log_softmax(-1, type), log_q = draft.log_softmax(-1, type);
    const auto divergence = (log_p.exp() * (log_p - log_q)).sum(-1);
    const auto real = batch.targets.select(2, i - 1).ne(ignored_target).to(type);
    const auto term = (divergence * real).sum() * weight(i);
    sum = sum.defined() ? sum + term : term;
  }
  // Each anchor has k targets.
  return sum * (scale * static_cast<double>(options_.k) / total_weight());
}

void DraftTextTask::measure(const Record& out, const Batch& batch, Sums& sums) const {
  sums["loss"] += objective(out, batch, 1).item<double>();
  const auto scores = logits(out, batch);
  for (int64_t i = 1; i <= options_.k; ++i) {
    const auto [draft, truth] = pair(scores, batch, i);
    const auto targets = batch.targets.select(2, i - 1);
    const auto real = targets.ne(ignored_target);
    const auto loss = at::cross_entropy_loss(draft.flatten(0, 1).to(at::kFloat), targets.flatten(), {},
                                             at::Reduction::Sum, ignored_target);
    const auto best = draft.argmax(-1);
    const auto name = [i](const char* what) { return fmt::format("{} {}", what, i); };
    sums[name("cross entropy")] += loss.item<double>();
    sums[name("right")] += best.eq(targets).sum().item<double>();
    sums[name("agreeing")] += best.eq(truth.argmax(-1)).logical_and(real).sum().item<double>();
    sums[name("targets")] += real.sum().item<double>();
  }
  sums["samples"] += static_cast<double>(batch.rows());
}

// loss: the objective, nats a draft; cross_entropy: of the true tokens, over all drafts; accuracy_i and
// agreement_i: shares of draft i whose first choice is the true token, and that of the model itself.
Metrics DraftTextTask::metrics(const Sums& sums) const {
  Metrics metrics;
  double targets = 0, cross_entropy = 0;
  std::vector<std::pair<std::string, double>> shares;
  for (int64_t i = 1; i <= options_.k; ++i) {
    const auto sum = [&](const char* what) { return sums.at(fmt::format("{} {}", what, i)); };
    targets += sum("targets"), cross_entropy += sum("cross entropy");
    shares.emplace_back(fmt::format("cross_entropy_{}", i), sum("cross entropy") / sum("targets"));
    shares.emplace_back(fmt::format("accuracy_{}", i), sum("right") / sum("targets"));
    shares.emplace_back(fmt::format("agreement_{}", i), sum("agreeing") / sum("targets"));
  }
  metrics.samples = static_cast<int64_t>(sums.at("samples"));
  metrics.loss = sums.at("loss") / targets;
  metrics.values = {{"loss", metrics.loss}, {"cross_entropy", cross_entropy / targets}};
  metrics.values.insert(metrics.values.end(), shares.begin(), shares.end());
  return metrics;
}

FORMWORK_PART(Task, DraftTextTask, "draft_text",
              "drafts of later tokens of a text, against what the model says with the true ones");

}  // namespace
}  // namespace formwork
