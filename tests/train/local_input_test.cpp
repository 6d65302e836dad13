// What local learning refuses, and where it cuts.
#include "formwork/train/steps/local_modules.h"
#include "formwork/train/steps/local_objective.h"
#include "train/local_run.h"
#include "train/small_run.h"

namespace formwork {
namespace {

const std::vector<std::string> kSegments = {"layers.0.mixer", "layers.0.channel", "layers.1.merge",
                                            "layers.2.mixer", "layers.2.channel", "layers.3.mixer"};

TEST(LocalModules, AreCutAfterSegmentsAndLayers) {
  EXPECT_EQ(named_cuts(kSegments, {"layers.0", "layers.2.mixer"}), (std::vector<int64_t>{2, 4}));
  const auto modules = modules_between(kSegments, {2, 4});
  ASSERT_EQ(modules.size(), 3u);
  EXPECT_EQ(modules[1].name, "layers.1.merge to layers.2.mixer");
}

TEST(LocalModules, AreNotCutInsideASegment) {
  EXPECT_EQ(error_of([] { named_cuts(kSegments, {"layers.0.mixer.out"}); }),
            "step rule 'local': cut 'layers.0.mixer.out' lies inside the segment 'layers.0.mixer'; cut after "
            "it, or "
            "after another");
  EXPECT_NE(error_of([] {
              named_cuts(kSegments, {"layers.9"});
            }).find("unknown step rule 'local': segment 'layers.9'"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              named_cuts(kSegments, {"layers.2", "layers.0"});
            }).find("does not come after"),
            std::string::npos);
  EXPECT_NE(error_of([] { named_cuts(kSegments, {"layers.3"}); }).find("nothing is left after"),
            std::string::npos);
}

// All ways to cut between blocks.
int64_t smallest_greatest_sum(const std::vector<int64_t>& blocks, size_t first, int64_t modules) {
  int64_t sum = 0, best = std::numeric_limits<int64_t>::max();
  if (modules == 1) {
    for (size_t i = first; i < blocks.size(); ++i) sum += blocks[i];
    return sum;
  }
  for (size_t i = first; i + static_cast<size_t>(modules) - 1 < blocks.size(); ++i) {
    sum += blocks[i];
    best = std::min(best, std::max(sum, smallest_greatest_sum(blocks, i + 1, modules - 1)));
  }
  return best;
}

TEST(LocalModules, AreBalanced) {
  std::vector<std::string> segments;
  for (int i = 0; i < 7; ++i)
    for (const char* step : {"mixer", "channel"}) segments.push_back(fmt::format("layers.{}.{}", i, step));
  for (int draw = 0; draw < 20; ++draw) {
    at::manual_seed(draw);
    std::vector<int64_t> bytes, blocks;
    for (size_t i = 0; i < segments.size(); ++i)
      bytes.push_back(at::randint(1, 100, {1}, at::kLong).item<int64_t>());
    for (size_t i = 0; i < bytes.size(); i += 2) blocks.push_back(bytes[i] + bytes[i + 1]);
    for (int64_t modules = 1; modules <= 7; ++modules) {
      int64_t greatest = 0;
      for (const auto& module : modules_between(segments, balanced_cuts(segments, bytes, modules))) {
        int64_t sum = 0;
        for (int64_t i = module.first; i < module.last; ++i) sum += bytes[static_cast<size_t>(i)];
        greatest = std::max(greatest, sum);
      }
      EXPECT_EQ(greatest, smallest_greatest_sum(blocks, 0, modules)) << modules;
    }
  }
  EXPECT_EQ(error_of([&] { balanced_cuts(segments, std::vector<int64_t>(segments.size(), 1), 8); }),
            "step rule 'local': 8 modules, but the model has 7 blocks to cut between");
}

TEST(LocalModules, OfAPyramidAreBalancedByWhatTheyKeep) {
  const FewImages task;
  OneStep step(pyramid(), task, "plain");
  const auto survey = survey_segments(step.run);
  ASSERT_EQ(survey.bytes.size(), 7u);
  EXPECT_GT(survey.bytes[0], survey.bytes[3]) << "16 tokens of 8 channels against 4 of 16";
  ASSERT_EQ(survey.borders.size(), 8u);
  EXPECT_EQ(survey.borders[0].width, 8);
  EXPECT_EQ(survey.borders[3].width, 16);
  EXPECT_EQ(survey.borders[3].layout.dims[0].size, 2);
}

std::string refusal(std::shared_ptr<Model> model, const Task& task, const Json& rule) {
  return error_of([&] { OneStep(model, task, rule).gradients(); });
}

TEST(LocalInput, RefusesMoreModulesThanBlocks) {
  EXPECT_EQ(refusal(pyramid(), FewImages(), {{"type", "local"}, {"modules", 5}}),
            "step rule 'local': 5 modules, but the model has 4 blocks to cut between");
  auto rule = three_modules();
  rule["modules"] = 2;
  EXPECT_EQ(refusal(pyramid(), FewImages(), rule),
            "step rule 'local': 2 cuts make 3 modules, but modules is 2");
  rule["cuts"] = {1};
  EXPECT_NE(refusal(pyramid(), FewImages(), rule).find("expected a list of names, found [1]"),
            std::string::npos);
}

TEST(LocalInput, RefusesTiedWeightsAcrossACut) {
  const TemporaryFolder folder;
  auto task = small_task(folder.path());
  auto model = small_decoder();
  Json meta;
  task->prepare(meta);
  const auto error = refusal(model, *task, {{"type", "local"}, {"cuts", {"layers.0"}}, {"head", "lm"}});
  EXPECT_NE(error.find(
                "parameter 'embed.weight' is shared by modules 1 (layers.0.mixer to layers.0.channel) and 2"),
            std::string::npos)
      << error;
  auto spec = Spec::from_json(small_pyramid(), "test");
  spec.sources = {{"layers.3.*", {{"type", "shared"}, {"with", "layers.2.*"}}}};
  EXPECT_NE(
      refusal(build_model(spec, 1, at::kDouble), FewImages(), three_modules()).find("is shared by modules 2"),
      std::string::npos);
}

TEST(LocalInput, RefusesAFrozenModuleWithALoss) {
  auto spec = Spec::from_json(small_pyramid(), "test");
  for (const char* part : {"stem.*", "layers.0.*", "layers.1.*"})
    spec.sources[part] = {{"type", "stored"}, {"frozen", true}};
  EXPECT_EQ(refusal(build_model(spec, 1, at::kDouble), FewImages(), three_modules()),
            "step rule 'local': module 1 (layers.0.mixer to layers.1.merge) has a loss of its own, but "
            "nothing in it "
            "is trained");
}

TEST(LocalInput, RefusesAReconstructionOfAnotherShape) {
  auto json = small_pyramid();
  json["model"]["stem"]["class_token"] = true;
  json["model"]["layers"] = {
      {"repeat", 2}, {"pattern", {{{"mixer", {{"type", "attention"}, {"heads", 2}}}, {"channel", "mlp"}}}}};
  Json rule = three_modules();
  rule["cuts"] = {"layers.0"};
  EXPECT_EQ(refusal(build_model(Spec::from_json(json, "test"), 1, at::kDouble), FewImages(), rule),
            "step rule 'local': the reconstruction of module 1 has the shape [8, 17, 3], what it should give "
            "back [8, "
            "64, 3]");
}

TEST(LocalInput, RefusesPixelsOutsideOfZeroAndOne) {
  FewImages task;
  task.all().inputs["pixel_values"].mul_(2).sub_(1);
  const auto error = refusal(pyramid(), task, three_modules());
  EXPECT_NE(error.find("expected pixels in [0, 1], found -"), std::string::npos) << error;
  auto spec = Spec::from_json(small_pyramid(), "test");
  spec.meta["image_mean"] = {0.5, 0.5, 0.5}, spec.meta["image_std"] = {0.5, 0.5, 0.5};
  EXPECT_EQ(refusal(build_model(spec, 1, at::kDouble), task, three_modules()), "");
  spec.meta["image_std"] = {0.5};
  EXPECT_EQ(refusal(build_model(spec, 1, at::kDouble), task, three_modules()),
            "meta.image_std: expected 3 numbers, one for each channel, found 1");
}

TEST(LocalInput, WarnsOnceWhereTheContrastiveLossHasNoPositives) {
  const FewImages task(3);
  auto rule = three_modules();
  rule["objective"] = "contrast", rule["head"] = "conv_classifier";
  OneStep step(pyramid(), task, rule, 1, 3);
  testing::internal::CaptureStderr();
  step.gradients();
  const auto loss = step.gradients();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("no two rows of a batch have one label"),
            said.rfind("no two rows of a batch have one label"));
  EXPECT_NE(said.find("no two rows of a batch have one label"), std::string::npos);
  EXPECT_EQ(loss.terms.at(1), (std::pair<std::string, double>("module_1/task", 0.0)));
}

TEST(LocalInput, RefusesWhatHasNoLoss) {
  auto rule = three_modules();
  rule["target"] = "none", rule["task_first"] = 0;
  EXPECT_EQ(refusal(pyramid(), FewImages(), rule),
            "step rule 'local': module 1 has no loss; give it a task term or a target");
  const TemporaryFolder folder;
  auto task = small_task(folder.path());
  Json meta;
  task->prepare(meta);
  EXPECT_NE(refusal(small_decoder(), *task, {{"type", "local"}, {"target", "image"}, {"head", "lm"}})
                .find("needs pixel_values"),
            std::string::npos);
  rule = three_modules();
  rule["objective"] = "contrast";
  EXPECT_NE(refusal(pyramid(), FewImages(), rule).find("which head 'classifier' does not write"),
            std::string::npos);
}

TEST(LocalWeights, AreLinearInDepth) {
  LocalObjectiveOptions options;
  options.reconstruct_first = 6, options.reconstruct_last = 1, options.task_first = 0, options.task_last = 2;
  EXPECT_EQ(options.weights(0, 4), (std::pair<double, double>(6, 0)));
  EXPECT_EQ(options.weights(1, 4), (std::pair<double, double>(3.5, 1)));
  EXPECT_EQ(options.weights(2, 4), (std::pair<double, double>(1, 2)));
  EXPECT_EQ(options.weights(0, 2), (std::pair<double, double>(6, 0)));
}

}  // namespace
}  // namespace formwork
