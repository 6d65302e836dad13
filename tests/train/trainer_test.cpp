#include <gtest/gtest.h>

#include "formwork/interop/checkpoint_folder.h"
#include "formwork/models/model_io.h"
#include "train/small_run.h"

namespace formwork {
namespace {

TEST(Trainer, LearnsTheText) {
  const TemporaryFolder folder;
  auto model = small_decoder();
  auto task = small_task(folder.path());
  auto options = small_options();
  options.steps = 120, options.batch = 8;
  const auto before = evaluate(*model, *task);
  const auto result = train(*model, *task, options);
  EXPECT_NEAR(before.loss, std::log(256), 0.3);
  EXPECT_LT(result.evaluation.loss, 1.5);  // letters alone have about 2.8
  EXPECT_EQ(result.step, 120);
  EXPECT_EQ(result.samples, 120 * 8);
  EXPECT_EQ(result.tokens, 120 * 8 * 16);
  const auto json = result.to_json();
  EXPECT_EQ(json["settings"]["optimizer"]["beta2"], 0.95);
  EXPECT_EQ(json["settings"]["schedule"]["type"], "cosine");
  EXPECT_EQ(json["evaluation"]["samples"], task->evaluation_samples());
  EXPECT_TRUE(model->spec().meta.contains("tokenizer"));
}

// N steps == k + resume + (N - k), with everything on that could break it.
void expect_exact_resume(const std::function<void(TrainOptions&)>& change, double dropout) {
  const TemporaryFolder folder;
  auto options = small_options();
  change(options);
  auto whole = small_decoder(dropout), first = small_decoder(dropout),
       second = small_decoder(dropout, at::kFloat, 7);
  auto task = small_task(folder.path());
  const auto straight = train(*whole, *task, options);

  auto part = options;
  part.folder = (folder / "run").string();
  part.stop_after = 3;
  auto task_before = small_task(folder.path());
  EXPECT_EQ(train(*first, *task_before, part).step, 3);
  part.stop_after = 0, part.resume = true;
  auto task_after = small_task(folder.path());
  const auto resumed = train(*second, *task_after, part);
  EXPECT_EQ(greatest_difference(*whole, *second), 0);
  EXPECT_EQ(straight.evaluation.loss, resumed.evaluation.loss);
  EXPECT_EQ(straight.loss, resumed.loss);
  EXPECT_EQ(greatest_difference(*load_model(part.folder), *whole), 0);
}

TEST(Resume, IsExact) {
  expect_exact_resume([](TrainOptions&) {}, 0);
}

TEST(Resume, IsExactWithAccumulationAverageAndDropout) {
  expect_exact_resume([](TrainOptions& o) { o.accumulate = 2, o.ema = 0.9; }, 0.2);
}

TEST(Resume, RefusesOtherSettingsAndUnaskedResumption) {
  const TemporaryFolder folder;
  auto task = small_task(folder.path());
  auto options = small_options();
  options.folder = (folder / "run").string(), options.stop_after = 2;
  auto model = small_decoder();
  train(*model, *task, options);
  EXPECT_NE(error_of([&] { train(*model, *task, options); }).find("resume it"), std::string::npos);
  options.resume = true, options.rate = 0.5;
  EXPECT_NE(error_of([&] { train(*model, *task, options); }).find("had rate = 0.01"), std::string::npos);
}

TEST(Trainer, AccumulationEqualsTheLargeBatch) {
  const TemporaryFolder folder;
  auto options = small_options();
  options.steps = 3, options.batch = 5;
  auto one = small_decoder(0, at::kDouble), parts = small_decoder(0, at::kDouble);
  auto task = small_task(folder.path());
  train(*one, *task, options);
  options.accumulate = 3;  // parts of 1, 2 and 2 rows
  train(*parts, *task, options);
  EXPECT_LT(greatest_difference(*one, *parts), 1e-10);
}

TEST(Trainer, CheckpointingChangesNoBit) {
  const TemporaryFolder folder;
  for (const std::string precision : {"float32", "bf16"}) {
    auto options = small_options();
    options.precision = precision, options.accumulate = 2;
    auto kept = small_decoder(0.2), recomputed = small_decoder(0.2);
    auto task = small_task(folder.path());
    const auto plain = train(*kept, *task, options);
    options.checkpoint = true;
    EXPECT_EQ(train(*recomputed, *task, options).loss, plain.loss);
    EXPECT_EQ(greatest_difference(*kept, *recomputed), 0) << precision;
  }
}

TEST(Trainer, StopsWhenTheLossIsNotFinite) {
  const TemporaryFolder folder;
  auto options = small_options();
  options.folder = (folder / "run").string(), options.save_every = 2, options.stop_after = 4;
  auto model = small_decoder();
  auto task = small_task(folder.path());
  train(*model, *task, options);
  const auto kept = newest_checkpoint(folder / "run/checkpoints");
  ASSERT_TRUE(kept);
  // Poisons the checkpoint's successor: the resumed run must stop at its first step and save nothing.
  auto tensors = read_safetensors(kept->folder / "model.safetensors");
  for (auto& [name, tensor] : tensors) tensor = tensor.clone();
  tensors.at("norm.weight").fill_(NAN);
  write_safetensors(kept->folder / "model.safetensors", tensors);
  options.stop_after = 0, options.resume = true;
  const auto error = error_of([&] { train(*model, *task, options); });
  EXPECT_NE(error.find("loss is nan at step 5, rows 16 to 19"), std::string::npos) << error;
  EXPECT_NE(error.find("step-000000000004"), std::string::npos) << error;
  EXPECT_EQ(newest_checkpoint(folder / "run/checkpoints")->step, 4);
}

TEST(Evaluate, DoesNotDependOnTheBatchSize) {
  const TemporaryFolder folder;
  auto model = small_decoder(0, at::kDouble);
  auto task = small_task(folder.path());
  EvaluateOptions options;
  options.batch = 1;
  const auto one = evaluate(*model, *task, options);
  ASSERT_GT(one.samples, 10);
  for (int64_t batch : {3, 7, 1000}) {
    options.batch = batch;
    const auto other = evaluate(*model, *task, options);
    EXPECT_EQ(other.samples, one.samples);
    for (size_t i = 0; i < one.values.size(); ++i)
      EXPECT_NEAR(other.values[i].second, one.values[i].second, 1e-10 * one.values[i].second);
  }
  options.samples = 5, options.batch = 2;
  EXPECT_EQ(evaluate(*model, *task, options).samples, 5);
}

}  // namespace
}  // namespace formwork
