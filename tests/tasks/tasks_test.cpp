#include <gtest/gtest.h>

#include "formwork/core/file.h"
#include "formwork/tasks/task.h"
#include "images.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

// Any registered task, with a file where it needs one, prepared.
std::unique_ptr<Task> make(const std::string& name, const TemporaryFolder& folder,
                           Json meta = Json::object()) {
  PartSpec spec(name);
  const auto path = (folder / "data").string();
  if (name == "classify") {
    std::string table = "text\tlabel\n";
    for (int i = 0; i < 50; ++i) table += fmt::format("row {} of {}\t{}\n", i, i * i, i % 2 ? "odd" : "even");
    write_atomically(path + ".tsv", table);
    spec.options = {{"file", path + ".tsv"}, {"evaluation_share", 0.4}};
  } else if (name == "images") {
    write_images(path + ".images", 40, 4);
    spec.options = {{"folder", path + ".images"}, {"evaluation_share", 0.4}};
  } else if (name == "text" || name == "masked_lm" || name == "draft_text") {
    std::string text;
    for (int i = 0; i < 300; ++i) text += fmt::format("word {} ", i * 7919 % 301);
    write_atomically(path + ".txt", text);
    spec.options = {{"file", path + ".txt"}, {"length", 16}};
  } else {
    spec.options = {{"evaluation_samples", 23}};
  }
  auto task = Registry<Task>::make(spec);
  task->prepare(meta);
  return task;
}

bool equal(const Batch& a, const Batch& b) {
  if (a.inputs.size() != b.inputs.size()) return false;
  for (const auto& [name, value] : a.inputs)
    if (!b.inputs.count(name) || !value.equal(b.inputs.at(name))) return false;
  return a.targets.nan_to_num().equal(b.targets.nan_to_num());
}

// The real tokens and targets of every row, which padding does not change. Numbers as their bits.
std::vector<std::vector<int64_t>> rows_of(const Batch& batch) {
  std::vector<std::vector<int64_t>> rows;
  if (batch.targets.is_floating_point()) {
    for (int64_t r = 0; r < batch.rows(); ++r) {
      const auto row = at::cat({batch.inputs.at("input_features")[r].flatten(), batch.targets[r].flatten()});
      const auto bits = row.view(at::kInt).to(at::kLong).contiguous();
      rows.emplace_back(bits.data_ptr<int64_t>(), bits.data_ptr<int64_t>() + bits.numel());
    }
    return rows;
  }
  if (const auto pixels = batch.inputs.find("pixel_values"); pixels != batch.inputs.end()) {
    for (int64_t r = 0; r < batch.rows(); ++r) {
      const auto grey = pixels->second[r][0][0][0].item<double>();
      rows.push_back({std::llround(grey * 1e6), batch.targets[r].item<int64_t>()});
    }
    return rows;
  }
  const auto mask = batch.inputs.find("attention_mask");
  for (int64_t r = 0; r < batch.rows(); ++r) {
    const auto ids = batch.inputs.at("input_ids")[r];
    const int64_t length = mask == batch.inputs.end() ? ids.size(0) : mask->second[r].sum().item<int64_t>();
    const auto target = batch.targets[r];
    auto row = ids.narrow(0, 0, length);
    row = at::cat({row, target.dim() == 1 ? target.narrow(0, 0, length) : target.flatten()}).contiguous();
    rows.emplace_back(row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel());
  }
  return rows;
}

TEST(Tasks, AllAreRegistered) {
  const auto names = Registry<Task>::names();
  for (const char* name : {"text", "masked_lm", "classify", "copy", "reverse", "sort", "dyck", "listops"})
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
}

TEST(Tasks, TrainingBatchesDependOnSeedAndStepAlone) {
  const TemporaryFolder folder;
  for (const auto& name : Registry<Task>::names()) {
    const auto a = make(name, folder), b = make(name, folder);
    for (int64_t step = 0; step < 12; ++step) a->training_batch(4, 9, step);
    const auto batch = a->training_batch(4, 9, 3);
    EXPECT_TRUE(equal(batch, b->training_batch(4, 9, 3))) << name;
    EXPECT_FALSE(equal(batch, a->training_batch(4, 9, 4))) << name;
    EXPECT_FALSE(equal(batch, a->training_batch(4, 8, 3))) << name;
    EXPECT_EQ(batch.rows(), 4) << name;
    EXPECT_GT(batch.target_count(), 0) << name;
    const auto needs = a->model_needs();
    if (needs.contains("vocab"))
      EXPECT_LT(batch.inputs.at("input_ids").max().item<int64_t>(), needs["vocab"].get<int64_t>());
    else if (batch.inputs.count("pixel_values"))
      EXPECT_LT(batch.targets.max().item<int64_t>(), needs["head"]["classes"].get<int64_t>());
    else
      EXPECT_EQ(batch.inputs.at("input_features").size(2), needs["stem"]["features"].get<int64_t>());
  }
}

TEST(Tasks, EvaluationHasEverySampleOnceWhateverTheBatch) {
  const TemporaryFolder folder;
  for (const auto& name : Registry<Task>::names()) {
    const auto task = make(name, folder);
    const auto collect = [&](int64_t rows) {
      std::vector<std::vector<int64_t>> all;
      for (int64_t done = 0; done < task->evaluation_samples(); done += rows)
        for (auto& row : rows_of(task->evaluation_batch(rows, done / rows))) all.push_back(row);
      return all;
    };
    const auto one = collect(1);
    EXPECT_EQ(static_cast<int64_t>(one.size()), task->evaluation_samples()) << name;
    EXPECT_EQ(one, collect(7)) << name;
    EXPECT_EQ(one, collect(1000)) << name;
  }
}

TEST(Tasks, TheModelsOwnTokenizerComesFirst) {
  const TemporaryFolder folder;
  write_atomically(folder / "a.txt", std::string(2000, 'a') + " more text of another kind");
  PartSpec spec("text");
  spec.options = {
      {"file", (folder / "a.txt").string()}, {"length", 16}, {"tokenizer", "bpe"}, {"vocab", 258}};
  auto first = Registry<Task>::make(spec);
  Json meta = Json::object();
  first->prepare(meta);
  EXPECT_EQ(first->model_needs()["vocab"], 258);
  spec.options["tokenizer"] = "byte";
  auto second = Registry<Task>::make(spec);
  second->prepare(meta);
  EXPECT_EQ(second->model_needs()["vocab"], 258);
}

TEST(Tasks, LabelsKeepTheirNumbers) {
  const TemporaryFolder folder;
  const auto task = make("classify", folder, {{"labels", {"even", "neither", "odd"}}});
  EXPECT_EQ(task->model_needs()["head"]["classes"], 3);
  EXPECT_EQ(task->training_batch(50, 0, 0).targets.max().item<int64_t>(), 2);
  EXPECT_NE(error_of([&] { make("classify", folder, {{"labels", {"even", "green"}}}); }), "");
}

TEST(Tasks, NameTheNearestOption) {
  PartSpec spec("copy");
  spec.options = {{"evaluation_sample", 3}};
  EXPECT_NE(error_of([&] { Registry<Task>::make(spec); }).find("evaluation_samples"), std::string::npos);
  EXPECT_NE(error_of([&] { Registry<Task>::make(PartSpec("cpoy")); }).find("copy"), std::string::npos);
}

TEST(Tasks, ShapeAModelsVocabulary) {
  PartSpec choice("modular_arithmetic");
  const auto task = Registry<Task>::make(choice);
  Json meta = Json::object();
  task->prepare(meta);
  const auto needed = task->model_needs().at("vocab").get<int64_t>();
  Spec spec;
  spec.model.options = {{"width", 16}};
  task->shape(spec);
  EXPECT_EQ(spec.model.options["vocab"], needed);
  spec.model.options["vocab_multiple"] = needed + 3;
  task->shape(spec);
  EXPECT_EQ(spec.model.options["vocab"], needed + 3);
}

}  // namespace
}  // namespace formwork
