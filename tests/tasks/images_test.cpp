// Images of files: what is read, how it is normalized, and what is refused.
#include <gtest/gtest.h>

#include <cstdlib>

#include "formwork/core/file.h"
#include "formwork/data/image_file.h"
#include "formwork/data/image_folder.h"
#include "formwork/models/model.h"
#include "formwork/tasks/task.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

std::filesystem::path pictures() {
  const char* root = std::getenv("FORMWORK_SOURCE");
  return std::filesystem::path(root ? root : ".") / "tests/data/pictures";
}

TEST(ImageFile, ReadsPngAndJpegAsRgb) {
  const auto colours = read_image(pictures() / "bright/colours.png");
  ASSERT_EQ(colours.sizes(), at::IntArrayRef({3, 6, 8}));
  for (const int64_t y : {0, 5})
    for (const int64_t x : {0, 7}) {
      EXPECT_EQ(colours[0][y][x].item<int64_t>(), 10 * x);
      EXPECT_EQ(colours[1][y][x].item<int64_t>(), 20 * y);
      EXPECT_EQ(colours[2][y][x].item<int64_t>(), 200);
    }
  EXPECT_TRUE(read_image(pictures() / "dark/grey.PNG").eq(40).all().item<bool>());
  const auto even = read_image(pictures() / "dark/even.jpg").to(at::kFloat);
  ASSERT_EQ(even.sizes(), at::IntArrayRef({3, 6, 8}));
  EXPECT_LE((even - at::tensor({30.F, 60.F, 90.F}).view({3, 1, 1})).abs().max().item<float>(), 2);
}

TEST(ImageFile, NamesWhatIsBroken) {
  const TemporaryFolder folder;
  auto bytes = read_file(pictures() / "dark/even.jpg");
  write_atomically(folder / "a.jpg", "no image");
  EXPECT_NE(error_of([&] { read_image(folder / "a.jpg"); }).find("a.jpg: Not a JPEG file"),
            std::string::npos);
  write_atomically(folder / "b.png", "no image");
  EXPECT_NE(error_of([&] { read_image(folder / "b.png"); }).find("b.png: "), std::string::npos);
  bytes = read_file(pictures() / "bright/colours.png");
  write_atomically(folder / "c.png", bytes.substr(0, bytes.size() / 2));
  EXPECT_NE(error_of([&] { read_image(folder / "c.png"); }).find("c.png: "), std::string::npos);
  EXPECT_NE(error_of([&] { read_image(folder / "d.png"); }).find("cannot"), std::string::npos);
}

TEST(ImageFolder, IsAFolderOfClasses) {
  const auto images = read_image_folder(pictures(), 0);
  EXPECT_EQ(images.label_names, (std::vector<std::string>{"bright", "dark"}));
  EXPECT_EQ(images.labels, (std::vector<int64_t>{0, 1, 1}));
  ASSERT_EQ(images.pixels.sizes(), at::IntArrayRef({3, 3, 6, 8}));
  EXPECT_EQ(read_image_folder(pictures(), 4).pixels.sizes(), at::IntArrayRef({3, 3, 4, 4}));
  EXPECT_NE(error_of([] { read_image_folder(pictures() / "dark", 0); }).find("expected a folder of"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              read_image_folder(pictures(), 0, {"bright", "dim"});
            }).find("expected the classes [bright, dim], found [bright, dark]"),
            std::string::npos);
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { read_image_folder(folder / "none", 0); }),
            fmt::format("there is no folder of images '{}'", (folder / "none").string()));
}

std::unique_ptr<Task> images_task(Json options, Json& meta) {
  options["folder"] = pictures().string(), options["evaluation_folder"] = pictures().string();
  auto task = Registry<Task>::make(PartSpec("images", options));
  task->prepare(meta);
  return task;
}

TEST(ImagesTask, NormalizesAndSaysHow) {
  Json meta;
  const auto task = images_task({{"mean", {0.1, 0.2, 0.3}}, {"std", {0.5, 0.25, 2}}}, meta);
  EXPECT_EQ(meta["labels"], (Json{"bright", "dark"}));
  EXPECT_EQ(meta["image_std"], (Json{0.5, 0.25, 2.0}));
  EXPECT_EQ(task->model_needs()["head"]["classes"], 2);
  const auto batch = task->evaluation_batch(8, 0);
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({0, 1, 1}, at::kLong)));
  const auto& pixels = batch.inputs.at("pixel_values");
  EXPECT_NEAR(pixels[0][2][0][0].item<double>(), (200 / 255.0 - 0.3) / 2, 1e-6);
  EXPECT_EQ(batch.token_count(), 3);
  // A model that was trained with other numbers keeps them.
  const auto again = images_task({}, meta);
  EXPECT_TRUE(at::equal(again->evaluation_batch(8, 0).inputs.at("pixel_values"), pixels));
}

TEST(ImagesTask, MovesAndMirrorsBySeedAndStepAlone) {
  Json meta;
  const auto plain = images_task({}, meta), moved = images_task({{"mirror", true}, {"shift", 2}}, meta);
  const auto of = [](const Task& task, uint64_t seed, int64_t step) {
    return task.training_batch(3, seed, step).inputs.at("pixel_values");
  };
  EXPECT_TRUE(at::equal(of(*moved, 1, 4), of(*moved, 1, 4)));
  bool differs = false;
  for (int64_t step = 0; step < 8; ++step) differs |= !at::equal(of(*moved, 1, step), of(*plain, 1, step));
  EXPECT_TRUE(differs);
  const auto mirror = images_task({{"mirror", true}}, meta);
  // An image that is not its own mirror image is seen both ways.
  int64_t flipped = 0, kept = 0;
  for (int64_t step = 0; step < 16; ++step) {
    const auto a = of(*mirror, 1, step), b = of(*plain, 1, step);
    for (int64_t i = 0; i < 3; ++i)
      if (!at::equal(b[i], b[i].flip(2)))
        kept += at::equal(a[i], b[i]), flipped += at::equal(a[i], b[i].flip(2));
  }
  EXPECT_GE(kept, 3);
  EXPECT_GE(flipped, 3);
  EXPECT_EQ(kept + flipped, 16);
}

TEST(ImagesTask, RefusesWrongNumbersAndModelsWithoutClasses) {
  Json meta;
  EXPECT_NE(error_of([&] {
              images_task({{"std", {1, 1}}}, meta);
            }).find("expected 3 numbers"),
            std::string::npos);
  Json fresh;
  const auto task = images_task({}, fresh);
  Spec spec;
  spec.model =
      PartSpec("image_encoder", {{"width", 4}, {"stem", {{"type", "patch"}, {"image", 6}, {"patch", 2}}}});
  EXPECT_NE(
      error_of([&] { task->check(*build_model(spec)); }).find("images: the model has no classifier head"),
      std::string::npos);
}

}  // namespace
}  // namespace formwork
