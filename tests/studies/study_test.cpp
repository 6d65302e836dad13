#include "formwork/studies/study.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formwork/models/built_in_specs.h"
#include "formwork/report/tensor_peak.h"
#include "formwork/studies/claims_page.h"
#include "formwork/studies/recipes/icl_charts.h"
#include "formwork/studies/recipes/low_rank_costs.h"
#include "formwork/studies/recipes/timing.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

StudyOptions options_in(const TemporaryFolder& folder) {
  StudyOptions options;
  options.cache = (folder / "cache").string(), options.data_root = folder.path().string(),
  options.quiet = true;
  return options;
}

TEST(Claim, HoldsWhenTheMeasurementIsWhereExpected) {
  EXPECT_EQ(at_most("a", "p", 1.05, 1.05).holds, true);
  EXPECT_EQ(at_most("a", "p", 1.06, 1.05).holds, false);
  EXPECT_EQ(below("a", "p", 1, 1).holds, false);
  EXPECT_EQ(between("a", "p", 2, 2, 3).holds, true);
  EXPECT_EQ(between("a", "p", 3.1, 2, 3).holds, false);
  EXPECT_EQ(between("a", "p", 1.9, 2, 3).holds, false);
  EXPECT_EQ(between("a", "p", 1, 2, 3).direction, "2 to 3");
  EXPECT_EQ(at_least("a", "p", 5, 5).holds, true);
  EXPECT_EQ(at_least("a", "p", 4.9, 5).holds, false);
  EXPECT_FALSE(reported("a", "p", 1).holds.has_value());
  const double none = std::numeric_limits<double>::quiet_NaN();
  for (const auto& claim : {at_most("a", "p", none, 1), at_least("a", "p", none, 1), below("a", "p", none, 1),
                            between("a", "p", none, 0, 1)})
    EXPECT_EQ(claim.holds, false);
  EXPECT_EQ(
      at_most("a", "p", 2, 1).to_json(),
      (Json{{"claim", "a"}, {"published", "p"}, {"here", 2.0}, {"expected", "at most 1"}, {"holds", false}}));
}

TEST(Claim, ARatioOfRisesNeedsARise) {
  EXPECT_EQ(ratio_of_rises(1, 4), 0.25);
  EXPECT_EQ(ratio_of_rises(-1, 4), -0.25);
  EXPECT_EQ(at_least("a", "p", ratio_of_rises(1, -0.1), 5).holds, true) << "only the first rises";
  EXPECT_EQ(at_most("a", "p", ratio_of_rises(1, -0.1), 5).holds, false);
  EXPECT_EQ(at_most("a", "p", ratio_of_rises(-1, -0.1), 100).holds, false) << "neither rises";
}

TEST(Crossing, IsWhereTheFirstCostPassesTheSecond) {
  // T against 512: equal at 512.
  const std::vector<double> lengths = {64, 256, 1024, 4096}, constant(4, 512);
  EXPECT_NEAR(crossing(lengths, lengths, constant), 512, 1e-9);
  EXPECT_NEAR(crossing(lengths, {512, 512, 512, 1024}, constant), 1024, 1e-9) << "equal, then above";
  EXPECT_TRUE(std::isnan(crossing(lengths, constant, lengths))) << "from above";
  EXPECT_TRUE(std::isnan(crossing(lengths, constant, {1024, 1024, 1024, 1024}))) << "never";
}

TEST(Emissions, ArePowerTimesHoursTimesTheGridsFactor) {
  Emissions emissions;
  emissions.watts = 500;
  EXPECT_NEAR(emissions.pounds(7200), 0.954, 1e-12) << "a kWh";
  emissions.pounds_per_kwh = 2;
  EXPECT_NEAR(emissions.pounds(3600), 1, 1e-12);
}

TEST(ShortestSeconds, RunsEveryWorkInTurns) {
  std::string order;
  const auto seconds = shortest_seconds({[&] { order += 'a'; }, [&] { order += 'b'; }}, 2);
  EXPECT_EQ(order, "ababab") << "a run that is not timed, and two that are";
  ASSERT_EQ(seconds.size(), 2u);
  for (const double s : seconds) EXPECT_TRUE(s >= 0 && s < 1);
}

TEST(StudyContext, RunsAStageOnceForTheSameSettings) {
  const TemporaryFolder folder;
  int64_t runs = 0;
  const auto stage = [&](const StudyOptions& options, const Json& settings) {
    StudyContext ctx("test", options);
    return ctx.stage("count", settings, [&] { return Json{{"runs", ++runs}}; });
  };
  auto options = options_in(folder);
  EXPECT_EQ(stage(options, {{"n", 1}}), (Json{{"runs", 1}}));
  EXPECT_EQ(stage(options, {{"n", 1}}), (Json{{"runs", 1}}));
  EXPECT_EQ(stage(options, {{"n", 2}}), (Json{{"runs", 2}})) << "other settings";
  options.seed = 1;
  EXPECT_EQ(stage(options, {{"n", 1}}), (Json{{"runs", 3}})) << "another seed";
  options.scale = 0.5;
  EXPECT_EQ(stage(options, {{"n", 1}}), (Json{{"runs", 4}})) << "another scale";
  options.fresh = true;
  EXPECT_EQ(stage(options, {{"n", 1}}), (Json{{"runs", 5}}));
}

TEST(StudyContext, ScalesCountsAndNeverBelowTheLeast) {
  const TemporaryFolder folder;
  auto options = options_in(folder);
  options.scale = 0.01;
  const StudyContext ctx("test", options);
  EXPECT_EQ(ctx.scaled(600), 6);
  EXPECT_EQ(ctx.scaled(10), 1);
  EXPECT_EQ(ctx.scaled(10, 4), 4);
}

TEST(StudyContext, NamesADataFileThatIsMissing) {
  const TemporaryFolder folder;
  const StudyContext ctx("test", options_in(folder));
  EXPECT_EQ(error_of([&] { ctx.data("a.txt"); }),
            fmt::format("reproduce: there is no data file '{}'", (folder / "a.txt").string()));
}

TEST(StudyContext, TrainsAModelOnceAndSharesItBetweenRecipes) {
  const TemporaryFolder folder;
  PartSpec task("copy");
  TrainOptions training;
  training.steps = 2, training.batch = 2;
  const auto train_in = [&](const char* study, int64_t steps) {
    StudyContext ctx(study, options_in(folder));
    training.steps = steps;
    auto made = ctx.trained("tiny", built_in_spec("tiny-decoder"), task, training);
    return std::pair(std::move(made), ctx.stages()[0].at("from cache").get<bool>());
  };
  const auto [first, first_cached] = train_in("one", 2);
  const auto [second, second_cached] = train_in("two", 2);
  const auto [other, other_cached] = train_in("two", 3);
  EXPECT_FALSE(first_cached);
  EXPECT_TRUE(second_cached);
  EXPECT_FALSE(other_cached) << "another training";
  EXPECT_EQ(first.key, second.key);
  EXPECT_NE(first.key, other.key);
  const auto& a = first.model->inventory().params;
  const auto& b = second.model->inventory().params;
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i].value, b[i].value)) << a[i].name;
}

TEST(ClaimsPage, HasTheClaimsTheChartsAndWhatWasInForce) {
  const Json facts = {
      {"system", "SliceGPT"}, {"scale", 0.5}, {"seed", 3}, {"stages", {{{"stage", "cut"}, {"seconds", 1}}}}};
  Chart chart;
  chart.title = "a chart", chart.spec = {{"mark", "line"}};
  const auto page = claims_page(facts, {at_most("a claim", "a number", 2, 1)}, {chart}).html();
  for (const char* text : {"SliceGPT", "a claim", "a number", "at most 1", "no", "a chart", "seed", "cut",
                           "A scale below 1 tries the recipe"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
}

TEST(IclCharts, RisksAreThoseOfTheTheory) {
  EXPECT_EQ(least_squares_risk(1, 4, 2), 12);
  EXPECT_EQ(least_squares_risk(7, 4, 2), 0);
  EXPECT_EQ(one_step_risk(0, 4, 1), 4);
  EXPECT_EQ(one_step_risk(5, 4, 1), 2);
}

TEST(IclModels, AMeanDistanceIsOverMoreExamplesThanAsked) {
  Json found = {{"distances", Json::array()}};
  for (int64_t n = 0; n < 4; ++n)
    for (const char* learner : {"ols", "knn"})
      found["distances"].push_back(
          {{"n", n}, {"learner", learner}, {"spd", learner == std::string("ols") ? n : 9}});
  EXPECT_EQ(mean_distance(found, "ols", "spd", 1), 2.5);
}

TEST(TensorPeak, IsTheMostHeldAtOnce) {
  TensorPeak memory;
  { const auto a = at::empty({1000}), b = at::empty({2000}); }
  const auto c = at::empty({500});
  EXPECT_GE(memory.bytes(), 12000);
  EXPECT_LT(memory.bytes(), 12000 + 4096);
}

}  // namespace
}  // namespace formwork
