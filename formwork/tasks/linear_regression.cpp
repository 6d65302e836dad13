// Linear regression in context (data/generated/linear_regression.h): at each x the model predicts its y, from
// the first, where nothing is known yet.
#include "formwork/data/generated/linear_regression.h"

#include "formwork/models/model.h"
#include "formwork/tasks/regression_task.h"

namespace formwork {
namespace {

// The last y is asked and not given, so a row has 2 n_max - 1 tokens. Metrics beside the loss: that after
// fewer than d examples and after d or more, since a mean over all hides the first.
class LinearRegressionTask final : public RegressionTask {
 public:
  struct Options : LinearProblems {
    bool predict_x = false;
    int64_t evaluation_samples = 512;
    void describe(Fields& f) {
      LinearProblems::describe(f);
      f.flag("predict_x", predict_x, "at each y also the next x is predicted, and counts");
      f.integer("evaluation_samples", evaluation_samples, "rows to evaluate on", 1, 1 << 24);
    }
  };
  explicit LinearRegressionTask(const Options& options) : options_(options) {}

  void prepare(Json&) override {}
  Json model_needs() const override {
    return {{"stem", {{"type", "linear"}, {"features", features()}}},
            {"head", {{"type", "regression"}, {"outputs", outputs()}}}};
  }
  void check(const Model& model) const override {
    const auto& axes = model.inventory().axes;
    const auto width = axes.find("features"), context = axes.find("position.context");
    if (width == axes.end())
      fail("this task's tokens are vectors of {} numbers; '{}' has no stem that takes them", features(),
           model.spec().model.type);
    if (width->second.size != features())
      fail("the task's tokens have d + 1 = {} numbers, those of the model {}", features(),
           width->second.size);
    if (context != axes.end() && context->second.size < tokens())
      fail("the task's rows have 2 n_max - 1 = {} tokens, the model's position table only {}", tokens(),
           context->second.size);
  }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    return batch_of(draw_examples(options_, 2 * seed, step * rows, rows));
  }
  int64_t evaluation_samples() const override { return options_.evaluation_samples; }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    constexpr uint64_t kSeed = 2 * 0x5eedULL + 1;  // odd: never one of training
    const int64_t first = index * rows;
    return batch_of(
        draw_examples(options_, kSeed, first, std::min(rows, options_.evaluation_samples - first)));
  }

  void measure(const Record& out, const Batch& batch, Sums& sums) const override {
    RegressionTask::measure(out, batch, sums);
    const auto errors = squared_errors(out, batch).slice(1, 0, std::nullopt, 2);  // at each x
    const int64_t fewer = std::min(options_.d, options_.n_max), more = options_.n_max - fewer;
    const auto add = [&](const char* name, int64_t first, int64_t count) {
      sums[name] += errors.narrow(1, first, count).sum(at::kDouble).item<double>() /
                    static_cast<double>(std::max<int64_t>(1, count));
    };
    add("fewer", 0, fewer);
    add("more", fewer, more);
  }
  Metrics metrics(const Sums& sums) const override {
    auto metrics = RegressionTask::metrics(sums);
    metrics.values.emplace_back("loss n<d", sums.at("fewer") / sums.at("samples"));
    if (options_.n_max > options_.d)
      metrics.values.emplace_back("loss n>=d", sums.at("more") / sums.at("samples"));
    return metrics;
  }

 private:
  int64_t features() const { return options_.d + 1; }
  int64_t outputs() const { return options_.predict_x ? features() : 1; }
  int64_t tokens() const { return 2 * options_.n_max - 1; }

  Batch batch_of(const Examples& examples) const {
    const auto whole = interleave(examples).to(at::kFloat);
    Batch batch;
    batch.inputs["input_features"] = whole.narrow(1, 0, tokens()).contiguous();
    batch.targets = whole.narrow(1, 1, tokens()).narrow(2, 0, outputs()).clone();
    if (!options_.predict_x)
      batch.targets.slice(1, 1, std::nullopt, 2).fill_(std::numeric_limits<float>::quiet_NaN());
    return batch;
  }

  Options options_;
};

FORMWORK_PART(Task, LinearRegressionTask, "linear_regression",
              "generated: linear regression in context, a problem of its own in every row");

}  // namespace
}  // namespace formwork
