// Classification of images: folders of .jpg or .png files, one for each class.
//
// pixel_values = (pixel / 255 - mean) / std, [B, 3, H, W]; mean and std go into the Spec's meta as image_mean
// and image_std, the names of Hugging Face's image processors. Training images may be mirrored, and moved by
// up to `shift` pixels each way (what comes in is black), as is usual for CIFAR.
#include <numeric>

#include "formwork/data/image_folder.h"
#include "formwork/data/random.h"
#include "formwork/data/sampling.h"
#include "formwork/tasks/prediction_task.h"

namespace formwork {
namespace {

class ImagesTask final : public PredictionTask {
 public:
  struct Options {
    std::string folder, evaluation_folder;
    int64_t side = 0, split_seed = 0, shift = 0;
    double evaluation_share = 0.1;
    bool mirror = false;
    std::vector<double> mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
    void describe(Fields& f) {
      f.text("folder", folder, "a folder with a folder of .jpg or .png files for each class");
      f.text("evaluation_folder", evaluation_folder,
             "another such folder to evaluate on; empty: a share of the images of `folder`");
      f.number("evaluation_share", evaluation_share, "share of the images, chosen at random, that evaluates",
               0.001, 0.9);
      f.integer("split_seed", split_seed, "of that choice");
      f.integer("side", side, "height and width that images are resized to; 0: as they are, all alike", 0,
                1 << 14);
      f.flag("mirror", mirror, "mirror half of the training images, left to right");
      f.integer("shift", shift, "move training images by up to this many pixels each way", 0, 1 << 12);
      f.numbers("mean", mean, "of red, green and blue, which is taken away; a model's own comes first");
      f.numbers("std", std, "what they are divided by; a model's own comes first");
    }
  };
  explicit ImagesTask(const Options& options) : options_(options) {}

  void prepare(Json& meta) override {
    if (training_.pixels.defined()) return;
    if (options_.folder.empty()) fail("images: which folder? set \"folder\" to one of classes of images");
    normalize_as(meta);
    const auto names =
        meta.contains("labels") ? meta["labels"].get<std::vector<std::string>>() : std::vector<std::string>();
    training_ = read_image_folder(options_.folder, options_.side, names);
    take_rows();
    meta["labels"] = training_.label_names;
    meta["image_mean"] = options_.mean, meta["image_std"] = options_.std;
  }

  Json model_needs() const override { return {{"head", {{"type", "classifier"}, {"classes", labels()}}}}; }
  void check(const Model& model) const override {
    PredictionTask::check(model);
    check_class_head(model, "images", labels());
  }

  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    const auto chosen = epochs_.of_step(training_rows_, rows, seed, step);
    auto pixels = training_.pixels.index_select(0, at::tensor(chosen, at::kLong));
    if (options_.mirror || options_.shift > 0) {
      Random random{seed, static_cast<uint64_t>(step)};
      std::vector<Tensor> moved;
      for (const auto& image : pixels.unbind(0)) moved.push_back(augmented(image, random));
      pixels = at::stack(moved);
    }
    return batch_of(pixels, training_, chosen);
  }
  int64_t evaluation_samples() const override { return static_cast<int64_t>(evaluation_rows_.size()); }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    const auto first = index * rows, end = std::min(first + rows, evaluation_samples());
    const std::vector<int64_t> chosen(evaluation_rows_.begin() + first, evaluation_rows_.begin() + end);
    const auto& images = options_.evaluation_folder.empty() ? training_ : evaluation_;
    return batch_of(images.pixels.index_select(0, at::tensor(chosen, at::kLong)), images, chosen);
  }

 private:
  int64_t labels() const { return static_cast<int64_t>(training_.label_names.size()); }

  void normalize_as(const Json& meta) {
    if (meta.contains("image_mean")) options_.mean = meta["image_mean"].get<std::vector<double>>();
    if (meta.contains("image_std")) options_.std = meta["image_std"].get<std::vector<double>>();
    const auto wrong = [](const std::vector<double>& values, double low) {
      return values.size() != 3 ||
             std::any_of(values.begin(), values.end(), [&](double v) { return v < low; });
    };
    if (wrong(options_.mean, 0) || wrong(options_.std, 1e-6))
      fail("images: expected 3 numbers from 0 on for mean and 3 above 0 for std, found [{}] and [{}]",
           fmt::join(options_.mean, ", "), fmt::join(options_.std, ", "));
  }

  void take_rows() {
    const auto all = [](const LabelledImages& images) {
      std::vector<int64_t> rows(images.labels.size());
      std::iota(rows.begin(), rows.end(), int64_t{0});
      return rows;
    };
    training_rows_ = all(training_);
    if (options_.evaluation_folder.empty()) {
      auto split = split_rows(static_cast<int64_t>(training_rows_.size()), options_.evaluation_share,
                              static_cast<uint64_t>(options_.split_seed));
      training_rows_ = std::move(split.train), evaluation_rows_ = std::move(split.validation);
      return;
    }
    evaluation_ = read_image_folder(options_.evaluation_folder, options_.side, training_.label_names);
    evaluation_rows_ = all(evaluation_);
  }

  // [3, H, W] mirrored and moved at random.
  Tensor augmented(Tensor image, Random& random) const {
    if (options_.mirror && random.below(2)) image = image.flip(2);
    const int64_t most = options_.shift;
    if (most == 0) return image;
    const int64_t down = random.between(0, 2 * most), right = random.between(0, 2 * most);
    const auto padded = at::constant_pad_nd(image, {most, most, most, most});
    return padded.narrow(1, down, image.size(1)).narrow(2, right, image.size(2));
  }

  Batch batch_of(const Tensor& pixels, const LabelledImages& images, const std::vector<int64_t>& rows) const {
    const auto by_channel = [](const std::vector<double>& values) {
      return at::tensor(values, at::kFloat).view({1, 3, 1, 1});
    };
    std::vector<int64_t> labels;
    for (const int64_t row : rows) labels.push_back(images.labels[static_cast<size_t>(row)]);
    Batch batch;
    batch.inputs["pixel_values"] =
        (pixels.to(at::kFloat) / 255 - by_channel(options_.mean)) / by_channel(options_.std);
    batch.targets = at::tensor(labels, at::kLong);
    return batch;
  }

  Options options_;
  LabelledImages training_, evaluation_;
  std::vector<int64_t> training_rows_, evaluation_rows_;
  mutable EpochRows epochs_;
};

FORMWORK_PART(Task, ImagesTask, "images", "the class of an image, from folders of .jpg or .png files");

}  // namespace
}  // namespace formwork
