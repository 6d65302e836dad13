// Specs that were written by earlier versions, each with the parameters that it then built: they load
// forever, with the same names, shapes, axes and dtypes. A file here is never edited; a new version adds a
// folder.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "formwork/models/model.h"

namespace formwork {
namespace {

// One line for each parameter: its name, axes, shape and dtype, and the name that it shares with.
std::string inventory_of(const Model& model) {
  std::string text;
  for (const auto& param : model.inventory().params) {
    std::vector<std::string> axes;
    for (const auto& dim : param.dims) axes.push_back(dim.describe());
    text += fmt::format("{} [{}] [{}] {}{}\n", param.name, fmt::join(axes, ", "),
                        fmt::join(param.value.sizes().vec(), ", "), c10::toString(param.value.scalar_type()),
                        param.rule.frozen ? " frozen" : "");
  }
  for (const auto& [name, target] : model.inventory().ties) text += fmt::format("{} = {}\n", name, target);
  return text;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::filesystem::path> old_specs() {
  const char* root = std::getenv("FORMWORK_SOURCE");
  const auto folder = std::filesystem::path(root ? root : ".") / "tests/models/specs";
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::exists(folder))
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.path().extension() == ".json") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(OldSpecs, BuildTheParametersThatTheyAlwaysHad) {
  const auto paths = old_specs();
  ASSERT_GE(paths.size(), 4u) << "run from the repository's root, or with FORMWORK_SOURCE set to it";
  for (const auto& path : paths) {
    const auto spec = Spec::from_file(path.string());
    const auto model = build_model(spec, 0, at::kFloat, /*allocate=*/false);
    auto list = path;
    EXPECT_EQ(inventory_of(*model), read(list.replace_extension(".parameters"))) << path;
    // What is written today reads as the same model.
    const auto again =
        build_model(Spec::from_json(spec.to_json(), "test"), 0, at::kFloat, /*allocate=*/false);
    EXPECT_EQ(inventory_of(*again), inventory_of(*model)) << path;
    EXPECT_EQ(again->segments(), model->segments()) << path;
  }
}

TEST(OldSpecs, RunWithTheirInitialWeights) {
  for (const auto& path : old_specs()) {
    const at::NoGradGuard guard;
    auto model = build_model(Spec::from_file(path.string()), 1);
    Record in = {{"input_ids", at::arange(12, at::kLong).view({2, 6})}};
    if (model->spec().model.type == "encoder_decoder") in["decoder_input_ids"] = in["input_ids"];
    auto ctx = model->make_context();
    const auto logits = model->forward(ctx, in).at("logits");
    EXPECT_EQ(logits.sizes(), at::IntArrayRef({2, 6, 61})) << path;
    EXPECT_TRUE(logits.isfinite().all().item<bool>()) << path;
  }
}

}  // namespace
}  // namespace formwork
