#include "formwork/transforms/compare/compare.h"

#include <gtest/gtest.h>

#include "formwork/report/chart.h"
#include "formwork/train/evaluate.h"
#include "formwork/transforms/compare/memory_use.h"
#include "formwork/transforms/compare/quality.h"
#include "train/small_run.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

// A saved small decoder, its task, and a place for the work.
struct Bench {
  TemporaryFolder folder;
  std::unique_ptr<Task> task = small_task(folder.path());

  Bench() {
    auto model = small_decoder();
    task->prepare(model->inventory().spec.meta);
    save_model(*model, path("model"));
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  CompareInput input(std::vector<std::string> methods) {
    CompareOptions options;
    options.samples = 6, options.batch = 4, options.repeats = 2, options.decode_tokens = 3;
    return {path("model"), *task, {{"type", "text"}}, std::move(methods), options, /*quiet=*/true};
  }
  std::vector<Json> compare(const CompareInput& input) {
    return formwork::compare(input, WorkFolder(path("work")));
  }
};

const Json& find_row(const std::vector<Json>& rows, const std::string& method, const Json& options,
                     int64_t recovered = 0) {
  for (const auto& row : rows)
    if (row["method"] == method && row["options"] == options && row["recovered"] == recovered) return row;
  fail("no row of {} {}", method, options.dump());
}

TEST(Compare, EveryMethodHasRowsOrReasons) {
  Bench bench;
  const auto methods = Registry<Transform>::names();
  const auto rows = bench.compare(bench.input(methods));
  std::set<std::string> seen;
  std::vector<Json> made;
  for (const auto& row : rows) {
    seen.insert(row["method"].get<std::string>());
    if (row.contains("reason")) {
      EXPECT_GT(row["reason"].get<std::string>().size(), 10u);
      continue;
    }
    made.push_back(row);
    EXPECT_EQ(row["bytes"].get<int64_t>(), bytes_on_disk(row["model"].get<std::string>()));
    for (const char* name : {"loss", "kl", "kl error", "top-1", "top-1 error", "flops/token",
                             "prefill tokens/s", "decode tokens/s", "seconds"})
      if (row["method"] != kOriginal || std::string(name) != "seconds") EXPECT_GE(row[name].get<double>(), 0);
  }
  // What makes nothing smaller has no budgets.
  const auto compared = std::count_if(methods.begin(), methods.end(), [](const std::string& method) {
    return !Registry<Transform>::make(method)->budgets().empty();
  });
  EXPECT_EQ(seen.size(), static_cast<size_t>(compared) + 1);
  EXPECT_EQ(rows[0]["kl"].get<double>(), 0);
  EXPECT_EQ(rows[0]["top-1"].get<double>(), 1);
  const auto front = pareto_front(made, "bytes", Better::smaller, "loss", Better::smaller);
  for (size_t i = 0; i < made.size(); ++i)
    EXPECT_EQ(made[i]["front"].get<bool>(), std::count(front.begin(), front.end(), i) == 1);
  EXPECT_NE(find_row(rows, "to_dense", Json::object())["reason"].get<std::string>().find("dense already"),
            std::string::npos);
}

TEST(Compare, LossIsThatOfTheEvaluation) {
  Bench bench;
  const auto rows = bench.compare(bench.input({"magnitude"}));
  const auto& row = find_row(rows, "magnitude", {{"sparsity", 0.5}});
  EvaluateOptions options;
  options.batch = 4, options.samples = 6;
  auto model = load_model(row["model"].get<std::string>());
  EXPECT_NEAR(row["loss"].get<double>(), evaluate(*model, *bench.task, options).loss, 1e-6);
}

// KL and agreement once more, target by target, in double.
TEST(Compare, DivergenceAgreesWithItsDefinition) {
  Bench bench;
  auto a = small_decoder(0, at::kFloat, 1), b = small_decoder(0, at::kFloat, 2);
  const auto measured = measure_quality(*a, *b, *bench.task, 3, 2);
  const at::NoGradGuard guard;
  double kl = 0, same = 0, squares = 0;
  std::vector<double> samples;
  for (int64_t sample = 0; sample < 3; ++sample) {
    const auto batch = bench.task->evaluation_batch(1, sample);
    auto first = a->make_context(), second = b->make_context();
    const auto p = a->forward(first, batch.inputs).at("logits")[0].to(at::kDouble).softmax(-1);
    const auto q = b->forward(second, batch.inputs).at("logits")[0].to(at::kDouble).softmax(-1);
    double sum = 0, equal = 0, count = 0;
    for (int64_t t = 0; t < p.size(0); ++t) {
      if (batch.targets[0][t].item<int64_t>() == -100) continue;
      for (int64_t v = 0; v < p.size(1); ++v)
        sum += p[t][v].item<double>() * std::log(p[t][v].item<double>() / q[t][v].item<double>());
      equal += p[t].argmax().item<int64_t>() == q[t].argmax().item<int64_t>();
      ++count;
    }
    samples.push_back(sum / count);
    kl += sum / count / 3;
    same += equal / count / 3;
  }
  for (const double v : samples) squares += (v - kl) * (v - kl);
  EXPECT_GT(kl, 1e-3);
  EXPECT_NEAR(measured["kl"].get<double>(), kl, 1e-5 * kl + 1e-6);
  EXPECT_NEAR(measured["kl error"].get<double>(), std::sqrt(squares / 2 / 3), 1e-5);
  EXPECT_NEAR(measured["top-1"].get<double>(), same, 1e-9);
}

TEST(Compare, FindsFinishedWorkAgain) {
  Bench bench;
  const auto first = bench.compare(bench.input({"magnitude"}));
  EXPECT_EQ(bench.compare(bench.input({"magnitude"})), first);  // speeds and seconds too: nothing ran again
  const auto more = bench.compare(bench.input({"magnitude", "llm_drop"}));
  const Json options = {{"sparsity", 0.5}};
  EXPECT_EQ(find_row(more, "magnitude", options)["seconds"],
            find_row(first, "magnitude", options)["seconds"]);
  EXPECT_GT(more.size(), first.size());
}

TEST(Compare, MoreRoundsKeepThoseThatAreDone) {
  Bench bench;
  auto input = bench.input({"llm_drop"});
  input.options.repeats = 1;
  const auto one = bench.compare(input);
  input.options.repeats = 3;
  bench.compare(input);
  input.options.repeats = 1;
  EXPECT_EQ(bench.compare(input), one);
}

TEST(Compare, ChangedInputsFindNothing) {
  Bench bench;
  const auto first = bench.compare(bench.input({"magnitude"}));
  const auto folder_of = [](const std::vector<Json>& rows) {
    return find_row(rows, "magnitude", {{"sparsity", 0.5}})["model"].get<std::string>();
  };
  auto input = bench.input({"magnitude"});
  input.options.samples = 5;
  EXPECT_NE(folder_of(bench.compare(input)), folder_of(first));
  auto model = small_decoder(0, at::kFloat, 9);
  bench.task->prepare(model->inventory().spec.meta);
  save_model(*model, bench.path("model"));
  EXPECT_NE(folder_of(bench.compare(bench.input({"magnitude"}))), folder_of(first));
}

TEST(Compare, DamagedAndMissingWorkIsDoneAgain) {
  Bench bench;
  const auto first = bench.compare(bench.input({"magnitude"}));
  fs::remove_all(find_row(first, "magnitude", {{"sparsity", 0.3}})["model"].get<std::string>());
  for (const auto& entry : fs::directory_iterator(bench.folder / "work" / "values"))
    if (entry.path().filename().string().rfind("original-", 0) == 0) write_atomically(entry.path(), "{\"ide");
  const auto second = bench.compare(bench.input({"magnitude"}));
  ASSERT_EQ(second.size(), first.size());
  for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(second[i]["loss"], first[i]["loss"]);
}

TEST(Compare, RecoveryAddsTrainedRows) {
  Bench bench;
  auto input = bench.input({"magnitude", "to_dense"});
  input.options.recover = 20, input.options.recover_rate = 1e-2;
  const auto rows = bench.compare(input);
  for (const auto& [method, options] :
       {std::pair<std::string, Json>(kOriginal, Json::object()), {"magnitude", {{"sparsity", 0.5}}}}) {
    const auto &before = find_row(rows, method, options), &after = find_row(rows, method, options, 20);
    EXPECT_LT(after["loss"].get<double>(), before["loss"].get<double>() - 0.1) << method;
    EXPECT_EQ(after["parameters"], before["parameters"]) << method;  // what was pruned stays pruned
  }
  // What could not be made is not trained either.
  EXPECT_THROW(find_row(rows, "to_dense", Json::object(), 20), Error);
  for (const auto& entry : fs::directory_iterator(bench.folder / "work" / "models"))
    EXPECT_EQ(entry.path().string().find(".training"), std::string::npos);
}

TEST(Compare, SaysWhatWasAskedAndReached) {
  Bench bench;
  const auto rows = bench.compare(bench.input({"magnitude", "lord", "llm_int8", "slicegpt"}));
  const auto& pruned = find_row(rows, "magnitude", {{"sparsity", 0.3}});
  EXPECT_EQ(pruned["asked"].get<double>(), 0.3);
  EXPECT_NEAR(pruned["reached"].get<double>(), 0.3, 0.01);
  for (const auto& row : rows) {
    if (row.contains("reason") || row["method"] == kOriginal) continue;
    ASSERT_TRUE(row.contains("budget")) << row["method"];
    if (row["method"] == "lord") EXPECT_GT(row["reached"].get<double>(), row["asked"].get<double>() - 0.1);
    if (row["method"] == "llm_int8") EXPECT_GT(row["reached"].get<double>(), 8);  // with the scales
  }
}

TEST(Compare, ChangingNothingIsAnError) {
  auto model = small_decoder();
  EXPECT_THROW(compress({"llm_drop", {{"n", 0}}, 0}, model, {}), NothingChanged);
}

TEST(Compare, RefusesATaskThatDoesNotFit) {
  Bench bench;
  auto spec = small_decoder()->spec();
  spec.model.options["vocab"] = 7;
  save_model(*build_model(spec, 1), bench.path("model"));
  const auto message = error_of([&] { bench.compare(bench.input({"magnitude"})); });
  EXPECT_NE(message.find("vocabulary"), std::string::npos) << message;
}

TEST(Compare, KeepsTheSmallestThatIsGoodEnough) {
  std::vector<Json> rows = {
      {{"method", kOriginal}, {"bytes", 100}, {"loss", 1.0}, {"front", true}},
      {{"method", "a"}, {"bytes", 60}, {"loss", 1.04}, {"front", true}},
      {{"method", "b"}, {"bytes", 50}, {"loss", 1.09}, {"front", true}},
      {{"method", "c"}, {"bytes", 40}, {"loss", 1.02}, {"front", false}},
      {{"method", "d"}, {"reason", "does not apply"}},
  };
  EXPECT_EQ(best_small_row(rows, 0.05), 1u);
  EXPECT_EQ(best_small_row(rows, 0.1), 2u);
  EXPECT_EQ(best_small_row(rows, 0.01), std::nullopt);
}

TEST(Compare, OptionsReadLikeSettings) {
  EXPECT_EQ(options_text({{"ratio", 0.25}, {"order", "sequential"}}), "ratio=0.25, order=sequential");
  EXPECT_EQ(candidate_text({"lord", {{"ratio", 0.1}}, 30}), "lord ratio=0.1, recovered");
}

TEST(WorkFolder, IsHeldByOneAndCleansUp) {
  TemporaryFolder folder;
  fs::create_directories(folder / "work" / "values");
  write_atomically(folder / "work" / "values" / "x.json.tmp-1-0", "torn");
  const WorkFolder held(folder / "work");
  EXPECT_FALSE(fs::exists(folder / "work" / "values" / "x.json.tmp-1-0"));
  EXPECT_NE(error_of([&] { WorkFolder second(folder / "work"); }).find("another run"), std::string::npos);
  held.keep("x", {{"a", 1}}, 5);
  EXPECT_EQ(held.find("x", {{"a", 1}}), Json(5));
  EXPECT_EQ(held.find("x", {{"a", 2}}), std::nullopt);
  write_atomically(folder / "file", "");
  EXPECT_NE(error_of([&] { WorkFolder inside(folder / "file" / "work"); }).find("cannot create"),
            std::string::npos);
}

TEST(Memory, PeakCountsWhatWasTouched) {
  const ResidentPeak before;
  if (before.bytes() < 0) GTEST_SKIP() << "this system does not let a process reset its peak";
  constexpr int64_t kBytes = 64 << 20;
  const ResidentPeak peak;
  { const auto tensor = at::ones({kBytes / 4}); }
  constexpr int64_t kSlack = 1 << 20;  // the kernel counts pages in batches
  EXPECT_GE(peak.bytes(), kBytes - kSlack);
  EXPECT_LT(peak.bytes(), kBytes + (24 << 20));
  const ResidentPeak after;
  EXPECT_LT(after.bytes(), 8 << 20);
}

TEST(Memory, EstimateGrowsWithModelBatchAndTraining) {
  auto model = small_decoder();
  constexpr int64_t kTokens = 4 * 16;
  const int64_t estimate = estimate_memory(*model, 1 << 20, kTokens, 0);
  EXPECT_GE(estimate, (3 << 20) + 6 * kTokens * 256 * 4);
  EXPECT_LT(estimate_memory(*model, 1 << 20, kTokens / 4, 0), estimate);
  EXPECT_GT(estimate_memory(*model, 1 << 20, kTokens, 5), estimate);
  EXPECT_GT(available_memory(), 0);
}

}  // namespace
}  // namespace formwork
