// Tasks whose data are computed: one task for each generator of data/generated, under its name.
#include "formwork/data/generated/generated_task.h"
#include "formwork/data/text_corpus.h"
#include "formwork/tasks/prediction_task.h"

namespace formwork {
namespace {

// Training samples are unlimited; evaluation samples are others, from a seed of their own. Adds to the
// metrics: exact, the share of samples whose every target has the greatest logit.
class GeneratedDataTask final : public PredictionTask {
 public:
  struct Options {
    std::shared_ptr<GeneratedTask> generator;
    int64_t evaluation_samples = 512;
    void describe(Fields& f);
  };
  explicit GeneratedDataTask(const Options& options) : options_(options) {}

  // The alphabet is fixed by the options; it is entered so that a saved model can be read. A model that was
  // made for other tokens is refused: its ids mean something else.
  void prepare(Json& meta) override {
    const Json symbols = options_.generator->symbols();
    if (meta.contains("tokenizer"))
      fail("the task's tokens are {} symbols of its own, the model's are those of a tokenizer",
           symbols.size());
    if (meta.contains("symbols") && meta["symbols"] != symbols)
      fail("the task's {} symbols ({}) are not the model's {} ({})", symbols.size(), start_of(symbols),
           meta["symbols"].size(), start_of(meta["symbols"]));
    meta["symbols"] = symbols;
  }
  Json model_needs() const override { return {{"vocab", options_.generator->vocab_size()}}; }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    return batch_of(generated_batch(*options_.generator, 2 * seed, step, rows));
  }
  int64_t evaluation_samples() const override { return options_.evaluation_samples; }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    constexpr uint64_t kSeed = 2 * 0x5eedULL + 1;  // odd: never one of training
    const auto batch = batch_of(generated_batch(*options_.generator, kSeed, index, rows));
    return batch.narrow(0, std::min(rows, options_.evaluation_samples - index * rows));
  }

  void measure(const Record& out, const Batch& batch, Sums& sums) const override {
    PredictionTask::measure(out, batch, sums);
    const auto right = logits(out, batch).argmax(-1).eq(batch.targets);
    sums["exact"] += right.logical_or(batch.targets.eq(ignored_target)).all(1).sum().item<double>();
  }
  Metrics metrics(const Sums& sums) const override {
    auto metrics = PredictionTask::metrics(sums);
    metrics.values.emplace_back("exact", sums.at("exact") / sums.at("samples"));
    return metrics;
  }

 private:
  static std::string start_of(const Json& symbols) {
    constexpr size_t kShown = 6;
    std::string text;
    for (size_t i = 0; i < std::min(kShown, symbols.size()); ++i)
      text += (i ? " " : "") + symbols[i].get<std::string>();
    return symbols.size() > kShown ? text + " ..." : text;
  }
  static Batch batch_of(const GeneratedBatch& generated) {
    Batch batch;
    batch.inputs["input_ids"] = generated.input_ids;
    set_mask(batch, generated.lengths);
    batch.targets = generated.targets.masked_fill(generated.loss_mask.logical_not(), ignored_target);
    return batch;
  }

  Options options_;
};

void describe_option(Fields& f, const TaskOption& option) {
  const char* name = option.name.c_str();
  const char* doc = option.meaning.c_str();
  std::visit(
      [&]<class Field>(const Field& field) {
        if constexpr (std::is_same_v<Field, IntegerOption>)
          f.integer(name, *field.value, doc, field.least, field.most);
        else if constexpr (std::is_same_v<Field, RealOption>)
          f.number(name, *field.value, doc, field.least, field.most);
        else
          f.choice(name, *field.value, field.choices, doc);
      },
      option.field);
}

void GeneratedDataTask::Options::describe(Fields& f) {
  f.integer("evaluation_samples", evaluation_samples, "samples to evaluate on", 1, 1 << 24);
  for (const auto& option : generator->options()) describe_option(f, option);
}

// The options of `name`, read from `json` over the defaults.
GeneratedDataTask::Options read_options(const std::string& name, const Json& json) {
  GeneratedDataTask::Options options;
  options.generator = make_generated_task(name);
  FieldReader reader(json, fmt::format("task '{}'", name));
  options.describe(reader);
  reader.finish();
  auto values = nlohmann::json::parse(options_json(options).dump());
  values.erase("evaluation_samples");
  options.generator = make_generated_task(name, values);  // with its own checks
  return options;
}

}  // namespace

void Task::discover() {
  static const bool once = [] {
    for (const auto& name : generated_task_names()) {
      Registry<Task>::Entry entry;
      entry.doc =
          "generated: " + describe_generated_task(name).substr(0, describe_generated_task(name).find('\n'));
      entry.make = [name](const Json& json) -> std::unique_ptr<Task> {
        return std::make_unique<GeneratedDataTask>(read_options(name, json));
      };
      entry.defaults = [name](const Json& json) { return options_json(read_options(name, json)); };
      entry.schema = [name] { return options_json(read_options(name, Json::object()), true); };
      Registry<Task>::table().emplace(name, std::move(entry));
    }
    return true;
  }();
  (void)once;
}

}  // namespace formwork
