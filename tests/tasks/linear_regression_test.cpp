#include "formwork/data/generated/linear_regression.h"

#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "formwork/tasks/task.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

LinearProblems problems(int64_t d, int64_t n_max, double sigma = 0, double tau = 1) {
  LinearProblems made;
  made.d = d, made.n_max = n_max, made.sigma = sigma, made.tau = tau;
  return made;
}

std::unique_ptr<Task> task_of(const Json& options) {
  return Registry<Task>::make({"linear_regression", options});
}

std::shared_ptr<Model> model_of(const Task& task, const Json& more = Json::object()) {
  Spec spec;
  spec.model = PartSpec("decoder");
  spec.model.options = {{"width", 8}};
  task.shape(spec);
  spec.model.options.update(more);
  return build_model(spec);
}

TEST(LinearRegression, TokensAreXAndYInTurnsAndCanBeReadBack) {
  const auto drawn = draw_examples(problems(3, 4), 5, 0, 2);
  const auto tokens = interleave({drawn.x, drawn.y.narrow(1, 0, 3), {}});
  ASSERT_EQ(tokens.sizes(), at::IntArrayRef({2, 7, 4}));
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(at::equal(tokens.select(1, 2 * i).narrow(1, 1, 3), drawn.x.select(1, i)));
    EXPECT_TRUE(tokens.select(1, 2 * i).select(1, 0).eq(0).all().item<bool>());
    if (i < 3) EXPECT_TRUE(at::equal(tokens.select(1, 2 * i + 1).select(1, 0), drawn.y.select(1, i)));
  }
  EXPECT_LT((drawn.y - at::einsum("bnd,bd->bn", {drawn.x, drawn.w})).abs().max().item<double>(), 1e-12);
  const auto back = read_examples(tokens);
  EXPECT_TRUE(at::equal(back.x, drawn.x));
  EXPECT_TRUE(at::equal(back.y, drawn.y.narrow(1, 0, 3)));
  EXPECT_NE(error_of([] { read_examples(at::ones({1, 3, 4})); }), "");
  EXPECT_NE(error_of([] { read_examples(at::ones({1, 3})); }), "");
}

TEST(LinearRegression, HasTheScalesOfItsOptions) {
  auto wide = problems(4, 50, 0.5, 2);
  wide.x_scale = 3;
  const auto drawn = draw_examples(wide, 1, 0, 400);
  EXPECT_NEAR(drawn.x.std().item<double>(), 3, 0.05);
  EXPECT_NEAR(drawn.w.std().item<double>(), 2, 0.1);
  EXPECT_NEAR((drawn.y - at::einsum("bnd,bd->bn", {drawn.x, drawn.w})).std().item<double>(), 0.5, 0.01);
}

TEST(LinearRegression, RowsDependOnTheirNumberAndAControlHasOneWeight) {
  const auto all = draw_examples(problems(3, 4), 5, 0, 6), some = draw_examples(problems(3, 4), 5, 4, 2);
  EXPECT_TRUE(at::equal(all.x.narrow(0, 4, 2), some.x));
  auto fixed = problems(3, 4);
  fixed.fixed_w = true;
  const auto one = draw_examples(fixed, 5, 0, 3), other = draw_examples(fixed, 6, 9, 3);
  EXPECT_TRUE(at::equal(one.w, other.w));
  EXPECT_TRUE(at::equal(one.w[0], one.w[2]));
  EXPECT_FALSE(at::equal(one.x, other.x));
}

// y is asked at each x, also at the first; with predict_x the next x at each y.
TEST(LinearRegressionTask, TargetsAreTheNextTokens) {
  const auto task = task_of({{"d", 3}, {"n_max", 4}});
  const auto batch = task->training_batch(2, 1, 0);
  const auto examples = read_examples(batch.inputs.at("input_features"));
  ASSERT_EQ(batch.targets.sizes(), at::IntArrayRef({2, 7, 1}));
  EXPECT_EQ(batch.target_count(), 2 * 4);
  EXPECT_EQ(batch.token_count(), 2 * 7);
  for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(batch.targets.isnan()[0][i].item<bool>(), i % 2 == 1);
  EXPECT_TRUE(at::equal(batch.targets.slice(1, 0, 6, 2).squeeze(2).to(at::kDouble), examples.y));

  const auto both = task_of({{"d", 3}, {"n_max", 4}, {"predict_x", true}})->training_batch(2, 1, 0);
  EXPECT_EQ(both.target_count(), 2 * 7);
  EXPECT_TRUE(at::equal(both.targets.narrow(1, 0, 6), both.inputs.at("input_features").narrow(1, 1, 6)));
}

// Who answers 0 has the error E y^2 = d tau^2 + sigma^2.
TEST(LinearRegressionTask, MetricsAreMeanSquaresApartBeforeAndAfterDExamples) {
  const auto task = task_of({{"d", 4}, {"n_max", 6}, {"sigma", 0.5}, {"evaluation_samples", 4000}});
  Sums sums;
  for (int64_t i = 0; i < 4; ++i) {
    const auto batch = task->evaluation_batch(1000, i);
    auto predictions = at::zeros_like(batch.targets);
    predictions.narrow(1, 8, 3).fill_(1);  // at x_5 and x_6
    task->measure({{"predictions", predictions}}, batch, sums);
  }
  const auto metrics = task->metrics(sums);
  EXPECT_EQ(metrics.samples, 4000);
  EXPECT_NEAR(metrics.value("loss n<d"), 4.25, 0.15);
  EXPECT_NEAR(metrics.value("loss n>=d"), 5.25, 0.3);
  EXPECT_NEAR(metrics.loss, (4 * metrics.value("loss n<d") + 2 * metrics.value("loss n>=d")) / 6, 1e-9);
}

TEST(LinearRegressionTask, GradientsComeFromTheTargetsAlone) {
  const auto task = task_of({{"d", 2}, {"n_max", 3}});
  const auto batch = task->training_batch(2, 0, 0);
  const auto predictions = at::ones_like(batch.targets).set_requires_grad(true);
  const auto loss = task->objective({{"predictions", predictions}}, batch, 0.5);
  const auto gradient = torch::autograd::grad({loss}, {predictions})[0];
  const auto expected = (1 - batch.targets).masked_fill(batch.targets.isnan(), 0);
  EXPECT_LT((gradient - expected).abs().max().item<double>(), 1e-6);
}

TEST(LinearRegressionTask, RefusesModelsThatCannotTakeItsRows) {
  const auto task = task_of({{"d", 3}, {"n_max", 4}});
  task->check(*model_of(*task));
  EXPECT_EQ(error_of([&] {
              task->check(*model_of(*task_of({{"d", 4}})));
            }),
            "the task's tokens have d + 1 = 4 numbers, those of the model 5");
  const Json position = {{"position", {{"type", "learned"}, {"context", 6}}}};
  EXPECT_EQ(error_of([&] { task->check(*model_of(*task, position)); }),
            "the task's rows have 2 n_max - 1 = 7 tokens, the model's position table only 6");
  EXPECT_EQ(error_of([&] {
              task->check(
                  *build_model(Spec::from_json({{"formwork", 1}, {"model", {{"type", "decoder"}}}}, "test")));
            }),
            "this task's tokens are vectors of 4 numbers; 'decoder' has no stem that takes them");
  const auto batch = task->training_batch(2, 0, 0);
  EXPECT_EQ(error_of([&] {
              task->objective({{"predictions", at::zeros({2, 7, 2})}}, batch, 1);
            }),
            "predictions: expected [2, 7, 1] as the targets, found [2, 7, 2]");
  EXPECT_EQ(error_of([&] {
              task->objective({{"logits", at::zeros({2, 7, 2})}}, batch, 1);
            }),
            "this task needs a model that gives 'predictions'; use the head 'regression'");
}

}  // namespace
}  // namespace formwork
