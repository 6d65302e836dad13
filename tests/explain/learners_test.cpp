// The reference learners, and the distances between what learners do.
#include <gtest/gtest.h>

#include "formwork/explain/incontext/behaviour.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Examples draw(int64_t d, int64_t n, double sigma = 0, int64_t rows = 3) {
  LinearProblems problems;
  problems.d = d, problems.n_max = n + 1, problems.sigma = sigma;
  return draw_examples(problems, 7, 0, rows);
}

std::unique_ptr<Learner> learner(const char* type, Json options = Json::object()) {
  return Registry<Learner>::make({type, std::move(options)});
}

Tensor weights(const char* type, const Json& options, const Examples& known) {
  const auto made = learner(type, options);
  return dynamic_cast<const LinearLearner&>(*made).weights(known);
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(LeastSquares, OfLeastNormMeetsAllExamplesUpToD) {
  for (const int64_t n : {1, 3, 5}) {
    const auto known = draw(5, n).first(n);
    EXPECT_LT(gap(learner("ols")->predict(known, known.x), known.y), 1e-8) << n;
    // The least norm has no part outside the span of the examples.
    const auto w = weights("ols", Json::object(), known);
    const auto inside = at::linalg_pinv(known.x).matmul(known.x.matmul(w.unsqueeze(-1))).squeeze(-1);
    EXPECT_LT(gap(w, inside), 1e-8) << n;
  }
  const auto many = draw(5, 9);
  EXPECT_LT(gap(weights("ols", Json::object(), many.first(9)), many.w), 1e-8);
}

TEST(Ridge, SolvesItsEquationAndIsLeastSquaresAtZero) {
  const auto known = draw(4, 9, 0.5).first(9);
  const auto w = weights("ridge", {{"lambda", 0.3}}, known).unsqueeze(-1);
  const auto transposed = known.x.transpose(1, 2);
  EXPECT_LT(gap(transposed.matmul(known.x.matmul(w)) + 0.3 * w, transposed.matmul(known.y.unsqueeze(-1))),
            1e-10);
  for (const int64_t n : {2, 9}) {
    const auto some = known.first(n);
    EXPECT_EQ(gap(weights("ridge", {{"lambda", 0}}, some), weights("ols", Json::object(), some)), 0);
    EXPECT_EQ(gap(weights("bayes", {{"sigma", 0}, {"tau", 2}}, some), weights("ols", Json::object(), some)),
              0);
  }
  EXPECT_EQ(
      gap(weights("bayes", {{"sigma", 0.6}, {"tau", 2}}, known), weights("ridge", {{"lambda", 0.09}}, known)),
      0);
  EXPECT_NE(error_of([] { learner("ridge", {{"lambda", -0.1}}); }).find("lambda"), std::string::npos);
}

// For the noise and the prior that it is told, no ridge has a lower error.
TEST(Bayes, HasTheLeastErrorOfTheRidges) {
  const auto drawn = draw(4, 6, 0.5, 20000);
  const auto known = drawn.first(6);
  const auto error = [&](double lambda) {
    return (weights("ridge", {{"lambda", lambda}}, known) - drawn.w).square().sum(1).mean().item<double>();
  };
  const double best = error(0.25);
  for (const double lambda : {0.0, 0.0625, 1.0}) EXPECT_LT(best, error(lambda)) << lambda;
}

TEST(GradientDescent, OneStepIsAMultipleOfTheMomentAndManyAreLeastSquares) {
  const auto drawn = draw(4, 7, 0, 2);
  const auto known = drawn.first(7);
  const auto moment = at::einsum("bnd,bn->bd", {known.x, known.y});
  EXPECT_LT(gap(weights("gd", {{"steps", 1}, {"rate", 0}, {"clamp", 0}}, known), moment / 12), 1e-13);
  EXPECT_LT(gap(weights("gd", {{"steps", 1}, {"rate", 0.01}, {"clamp", 0}}, known), 0.02 * moment), 1e-13);
  EXPECT_LT(gap(weights("gd", {{"steps", 20000}, {"rate", 0}}, known), drawn.w), 1e-6);
  EXPECT_LT(gap(weights("gd", {{"steps", 20000}, {"rate", 0}, {"lambda", 0.5}}, known),
                weights("ridge", {{"lambda", 0.5}}, known)),
            1e-8);
  EXPECT_LT(gap(weights("gd", {{"steps", 1}, {"rate", 0.01}, {"clamp", 2}}, known),
                0.01 * (2 * moment).clamp(-2, 2)),
            1e-13);
}

// The multiple 1 / (n + d + 1) of X^T y has less error than others, and the error d (d + 1) / (n + d + 1).
TEST(GradientDescent, ItsChosenStepIsTheBest) {
  const int64_t n = 6, d = 3;
  const auto drawn = draw(d, n, 0, 20000);
  const auto error = [&](double rate) {
    const auto w = weights("gd", {{"steps", 1}, {"rate", rate}, {"clamp", 0}}, drawn.first(n));
    return (w - drawn.w).square().sum(1).mean().item<double>();
  };
  EXPECT_NEAR(error(0), static_cast<double>(d * (d + 1)) / (n + d + 1), 0.03);
  EXPECT_LT(error(0), error(0.8 * 0.05));
  EXPECT_LT(error(0), error(1.2 * 0.05));
}

TEST(GradientDescent, ThatDivergesIsRefusedWithItsSpectralRadius) {
  Examples known{at::ones({1, 2, 1}, at::kDouble) * 3, at::ones({1, 2}, at::kDouble), {}};
  // |1 - 2 * 0.1 * 18| = 2.6.
  EXPECT_EQ(
      error_of([&] {
        weights("gd", {{"steps", 2}, {"rate", 0.1}}, known);
      }),
      "learner 'gd': rate 0.1 diverges on n = 2 examples: expected a spectral radius of I - 2 rate (X^T X + "
      "lambda I) of at most 1, found 2.6; choose a lower rate");
  weights("gd", {{"steps", 1}, {"rate", 0.1}}, known);
  weights("gd", {{"steps", 2}, {"rate", 0.05}}, known);
}

TEST(OnlineDescent, TakesOneExampleAfterTheOther) {
  const auto known = draw(3, 4).first(4);
  auto w = at::zeros({3, 3}, at::kDouble);
  for (int64_t i = 0; i < 4; ++i) {
    const auto x = known.x.select(1, i);
    const auto residual = (x * w).sum(1, true) - known.y.narrow(1, i, 1);
    w = w - 0.02 * (2 * residual * x).clamp(-20, 20);
  }
  EXPECT_LT(gap(weights("sgd", {{"rate", 0.02}}, known), w), 1e-13);
}

// Steps over the last two examples; before there are two, over the one.
TEST(OnlineDescent, AWindowEndsAtTheExampleAndBeginsAtTheFirstAtTheEarliest) {
  const auto known = draw(3, 3).first(3);
  auto w = at::zeros({3, 3}, at::kDouble);
  for (int64_t i = 0; i < 3; ++i)
    for (const bool step : {true}) {
      const int64_t first = i == 0 ? 0 : i - 1;
      const auto x = known.x.narrow(1, first, i + 1 - first), y = known.y.narrow(1, first, i + 1 - first);
      const auto residual = x.matmul(w.unsqueeze(-1)).squeeze(-1) - y;
      if (step) w = w - 0.02 * 2 * at::einsum("bnd,bn->bd", {x, residual});
    }
  EXPECT_LT(gap(weights("sgd", {{"rate", 0.02}, {"window", 2}, {"clamp", 0}}, known), w), 1e-13);
}

TEST(NearestNeighbours, AreTheNearest) {
  Examples known{
      at::tensor({0.0, 1.0, 3.0, 10.0}).view({1, 4, 1}), at::tensor({1.0, 2.0, 4.0, 100.0}).view({1, 4}), {}};
  known.x = known.x.to(at::kDouble), known.y = known.y.to(at::kDouble);
  const auto asked = at::tensor({0.5, 1.0, 2.0}).view({1, 3, 1}).to(at::kDouble);
  const auto plain = learner("knn", {{"k", 2}})->predict(known, asked);
  EXPECT_LT(gap(plain, at::tensor({1.5, 1.5, 3.0}).to(at::kDouble)), 1e-12);
  const auto near = learner("knn", {{"k", 3}, {"weights", "distance"}})->predict(known, asked);
  // 1 / distance: (1/0.5 + 2/0.5 + 4/2.5) / (2 + 2 + 0.4); alone at distance 0; (1/2 + 2 + 4) / 2.5.
  EXPECT_LT(gap(near, at::tensor({7.6 / 4.4, 2.0, 6.5 / 2.5}, at::kDouble)), 1e-12);
  EXPECT_EQ(learner("knn")->predict(known, asked)[0][0].item<double>(), 26.75)
      << "all, where there are fewer than k";
}

TEST(Learners, AnswerNothingBeforeTheFirstExample) {
  const auto drawn = draw(3, 2);
  for (const auto& name : Registry<Learner>::names()) {
    const auto answer = learner(name.c_str())->predict(drawn.first(0), drawn.x);
    EXPECT_TRUE(answer.eq(0).all().item<bool>()) << name;
    EXPECT_EQ(answer.sizes(), at::IntArrayRef({3, 3})) << name;
  }
}

Predictor predictor(const Learner& made) {
  return [&made](const Examples& known, const Tensor& asked) { return made.predict(known, asked); };
}

TEST(Distances, OfALearnerToItselfAreNothing) {
  const auto examples = draw(3, 5, 0.2);
  BehaviourOptions options;
  options.learners = {{"ols"}, {"knn"}};
  const auto found = behaviour(predictor(*learner("ols")), examples, options).at("distances");
  ASSERT_EQ(found.size(), 2u * 6);
  for (const auto& row : found) {
    if (row.at("learner") == "ols")
      EXPECT_LT(row.at("spd").get<double>() + row.at("ilwd").get<double>(), 1e-20);
    if (row.at("learner") == "knn" && row.at("n") > 0) EXPECT_GT(row.at("spd").get<double>(), 1e-3);
    if (row.at("n") > 0) EXPECT_NEAR(row.at("r2").get<double>(), 1, 1e-12);
  }
}

TEST(Distances, OfLinearLearnersAreThoseOfTheirWeights) {
  const auto examples = draw(4, 7, 0.5);
  BehaviourOptions options;
  options.learners = {{"ridge", {{"lambda", 0.5}}}};
  const auto found = behaviour(predictor(*learner("ols")), examples, options).at("distances");
  for (const auto& row : found) {
    const auto known = examples.first(row.at("n").get<int64_t>());
    const auto apart = weights("ols", Json::object(), known) - weights("ridge", {{"lambda", 0.5}}, known);
    EXPECT_NEAR(row.at("ilwd").get<double>(), apart.square().sum(1).mean().item<double>(), 1e-10);
  }
}

TEST(ImplicitWeights, OfALinearPredictorAreItsWeights) {
  const auto w = draw(4, 1).w, probes = fresh_probes(3, 6, 4, 1);
  const auto linear = probes.matmul(w.unsqueeze(-1)).squeeze(-1);
  const auto found = implicit_weights(probes, linear);
  EXPECT_LT(gap(found.w, w), 1e-6);
  EXPECT_NEAR(found.r2, 1, 1e-12);
  EXPECT_LT(implicit_weights(probes, linear.abs()).r2, 0.9);
  EXPECT_EQ(error_of([&] { implicit_weights(probes.narrow(1, 0, 3), linear.narrow(1, 0, 3)); }),
            "implicit weights: expected at least d = 4 probes, found 3");
}

}  // namespace
}  // namespace formwork
