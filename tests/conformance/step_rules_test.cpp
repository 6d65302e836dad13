// Every registered step rule: it learns, resumes bit for bit, leaves the model as it was built but for its
// weights, and says what a run is called by.
#include "conformance/samples.h"
#include "formwork/models/model_io.h"
#include "formwork/train/steps/step_rule.h"
#include "train/small_run.h"

namespace formwork::conformance {
namespace {

std::vector<std::string> rule_samples() {
  std::vector<std::string> list;
  for (const auto& name : Registry<StepRule>::names()) {
    const auto [first, last] = samples().equal_range("step_rules/" + name);
    for (auto it = first; it != last; ++it) list.push_back(it->second.part);
    if (first == last) list.push_back("\"" + name + "\"");
  }
  return list;
}

class StepRules : public testing::TestWithParam<std::string> {
 protected:
  static std::shared_ptr<Model> model(uint64_t seed = 1) {
    auto spec = small_decoder(0.1)->spec();
    spec.model.options["tie"] = false;  // so that a rule may cut anywhere
    return build_model(spec, seed);
  }
  TrainOptions options() const {
    auto options = small_options();
    options.step_rule = PartSpec::from_json(Json::parse(GetParam()), "test");
    options.accumulate = 2, options.ema = 0.9;
    return options;
  }
};

TEST_P(StepRules, Learn) {
  const TemporaryFolder folder;
  auto task = small_task(folder.path());
  auto trained = model();
  auto options = this->options();
  options.steps = 120, options.batch = 8, options.ema = 0, options.accumulate = 1;
  EXPECT_LT(train(*trained, *task, options).evaluation.loss, 2);
}

TEST_P(StepRules, ResumeExactly) {
  for (const std::string precision : {"float32", "bf16"})
    for (const bool checkpoint : {false, true}) {
      const TemporaryFolder folder;
      auto options = this->options();
      options.precision = precision, options.checkpoint = checkpoint;
      auto whole = model(), first = model(), second = model(7);
      auto task = small_task(folder.path());
      const auto straight = train(*whole, *task, options);
      options.folder = (folder / "run").string(), options.stop_after = 3;
      train(*first, *small_task(folder.path()), options);
      options.stop_after = 0, options.resume = true;
      const auto resumed = train(*second, *small_task(folder.path()), options);
      EXPECT_EQ(greatest_difference(*whole, *second), 0) << precision;
      EXPECT_EQ(straight.loss, resumed.loss) << precision;
      EXPECT_EQ(straight.evaluation.loss, resumed.evaluation.loss) << precision;
      const auto kept = load_model(options.folder);
      EXPECT_EQ(kept->spec().to_json()["model"], whole->spec().to_json()["model"]);
      EXPECT_EQ(kept->parameter_count(), model()->parameter_count());
    }
}

TEST_P(StepRules, AreASettingThatAResumedRunMustShare) {
  const TemporaryFolder folder;
  auto task = small_task(folder.path());
  auto options = this->options();
  options.folder = (folder / "run").string(), options.stop_after = 2;
  auto trained = model();
  train(*trained, *task, options);
  options.resume = true;
  options.step_rule =
      options.step_rule.type == "plain" ? PartSpec("local", {{"head", "lm"}}) : PartSpec("plain");
  EXPECT_NE(error_of([&] { train(*trained, *task, options); }).find("the run to resume had step_rule ="),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Registered, StepRules, testing::ValuesIn(rule_samples()));

}  // namespace
}  // namespace formwork::conformance
