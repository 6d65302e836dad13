// Classification of the texts of a table.
#include <numeric>

#include "formwork/data/sampling.h"
#include "formwork/data/table.h"
#include "formwork/models/model.h"
#include "formwork/tasks/prediction_task.h"
#include "formwork/tasks/text_source.h"

namespace formwork {
namespace {

class ClassifyTask final : public PredictionTask {
 public:
  struct Options {
    std::string file, evaluation_file, text_column, label_column, tokenizer = "byte";
    int64_t vocab = 1024, length = 256, split_seed = 0;
    double evaluation_share = 0.1;
    void describe(Fields& f) {
      f.text("file", file, "a .csv, .tsv or .jsonl file of texts and labels");
      f.text("evaluation_file", evaluation_file,
             "a file to evaluate on; empty: a share of the rows of `file`");
      f.number("evaluation_share", evaluation_share, "share of the rows, chosen at random, that evaluates",
               0.001, 0.9);
      f.integer("split_seed", split_seed, "of that choice");
      f.text("text_column", text_column, "a name, or a number from 1; empty: guessed");
      f.text("label_column", label_column, "a name, or a number from 1; empty: guessed");
      f.text("tokenizer", tokenizer,
             "byte; bpe: byte-pair encoding trained here; or a tokenizer.json. A model's own comes first");
      f.integer("vocab", vocab, "tokens of a byte-pair encoding trained here", 256, 1 << 20);
      f.integer("length", length, "longest row in tokens; what is longer is cut", 1, 1 << 20);
    }
  };
  explicit ClassifyTask(const Options& options) : options_(options) {}

  void prepare(Json& meta) override {
    if (tokenizer_) return;
    if (options_.file.empty()) fail("classify: which file? set \"file\" to a .csv, .tsv or .jsonl");
    const TableOptions columns{options_.text_column, options_.label_column};
    auto table = load_table(options_.file, columns);
    if (meta.contains("labels"))
      table =
          with_label_names(std::move(table), meta["labels"].get<std::vector<std::string>>(), options_.file);
    names_ = table.label_names;
    tokenizer_ = find_tokenizer(meta, options_.tokenizer, options_.vocab,
                                [&] { return fmt::format("{}", fmt::join(table.texts, "\n")); });
    take_rows(std::move(table), columns);
    meta["labels"] = names_;
  }

  Json model_needs() const override {
    return {{"vocab", tokenizer_->vocab_size()},
            {"head", {{"type", "classifier"}, {"classes", static_cast<int64_t>(names_.size())}}}};
  }
  void check(const Model& model) const override {
    PredictionTask::check(model);
    check_class_head(model, "classify", static_cast<int64_t>(names_.size()));
  }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    return batch_of(training_, epochs_.of_step(training_.rows, rows, seed, step));
  }
  int64_t evaluation_samples() const override { return static_cast<int64_t>(evaluation_.rows.size()); }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    const auto& all = evaluation_.rows;
    const auto first = index * rows, end = std::min(first + rows, evaluation_samples());
    return batch_of(evaluation_, {all.begin() + first, all.begin() + end});
  }

 private:
  struct Part {
    std::shared_ptr<const std::vector<std::vector<int64_t>>> encoded;
    std::vector<int64_t> labels, rows;
  };

  std::shared_ptr<const std::vector<std::vector<int64_t>>> encode(const TextTable& table) const {
    auto encoded = std::make_shared<std::vector<std::vector<int64_t>>>();
    for (const auto& text : table.texts) encoded->push_back(tokenizer_->encode(text));
    return encoded;
  }

  void take_rows(TextTable table, const TableOptions& columns) {
    const auto count = static_cast<int64_t>(table.texts.size());
    training_ = {encode(table), table.labels, {}};
    if (options_.evaluation_file.empty()) {
      evaluation_ = training_;
      auto split = split_rows(count, options_.evaluation_share, static_cast<uint64_t>(options_.split_seed));
      training_.rows = std::move(split.train), evaluation_.rows = std::move(split.validation);
      return;
    }
    const auto other =
        with_label_names(load_table(options_.evaluation_file, columns), names_, options_.evaluation_file);
    evaluation_ = {encode(other), other.labels, std::vector<int64_t>(other.texts.size())};
    std::iota(evaluation_.rows.begin(), evaluation_.rows.end(), int64_t{0});
    training_.rows.resize(static_cast<size_t>(count));
    std::iota(training_.rows.begin(), training_.rows.end(), int64_t{0});
  }

  Batch batch_of(const Part& part, const std::vector<int64_t>& rows) const {
    const auto labelled = padded_batch(*part.encoded, part.labels, rows, options_.length, /*pad_id=*/0);
    Batch batch;
    batch.inputs["input_ids"] = labelled.tokens;
    // An empty text is one padding token: a row needs a token.
    set_mask(batch, labelled.lengths.clamp_min(1));
    batch.targets = labelled.labels;
    return batch;
  }

  Options options_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> names_;
  Part training_, evaluation_;
  mutable EpochRows epochs_;
};

FORMWORK_PART(Task, ClassifyTask, "classify", "the label of a text, from a .csv, .tsv or .jsonl file");

}  // namespace
}  // namespace formwork
