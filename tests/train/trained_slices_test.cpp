#include "formwork/train/trained_slices.h"

#include <gtest/gtest.h>

#include "train/small_run.h"

namespace formwork {
namespace {

std::shared_ptr<Model> with_experts() {
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 256, "width": 16,
    "position": "learned", "layers": [{"mixer": {"type": "attention", "heads": 2},
      "channel": {"type": "experts", "experts": 4, "active": 4, "hidden": 8}}]}})");
  return build_model(Spec::from_json(json, "test"), 1);
}

Json from(int64_t first) { return {{"layers.*.experts", first}}; }

TEST(TrainedSlices, TrainsTheNewEntriesAndLeavesTheOthersBitForBit) {
  const TemporaryFolder folder;
  auto model = with_experts(), before = with_experts();
  auto task = small_task(folder.path());
  auto options = small_options();
  options.train_from = from(3);
  options.optimizer.options["decay"] = 0.1;
  train(*model, *task, options);
  int64_t carried = 0;
  auto old = before->inventory().params.begin();
  for (const auto& param : model->inventory().params) {
    const auto& was = (old++)->value;
    if (!param.dims[0].carries("layers.0.channel.experts")) {
      EXPECT_TRUE(at::equal(param.value, was)) << param.name;
      continue;
    }
    ++carried;
    EXPECT_TRUE(at::equal(param.value.narrow(0, 0, 3), was.narrow(0, 0, 3))) << param.name;
    EXPECT_FALSE(at::equal(param.value[3], was[3])) << param.name;
  }
  EXPECT_EQ(carried, 3);  // router, gate_up, down
}

TEST(TrainedSlices, RefusesWhatItCannotTrain) {
  auto model = with_experts();
  FlatParameters parameters(*model);
  EXPECT_THROW(TrainedSlices(*model, parameters, {{"layers.*.modules", 1}}), Error);
  EXPECT_THROW(TrainedSlices(*model, parameters, from(4)), Error);
  EXPECT_THROW(TrainedSlices(*model, parameters, from(-1)), Error);
  EXPECT_THROW(TrainedSlices(*model, parameters, {{"layers.0.mixer.qk_width", 1}}), Error);
  EXPECT_THROW(TrainedSlices(*model, parameters, 3), Error);
}

}  // namespace
}  // namespace formwork
