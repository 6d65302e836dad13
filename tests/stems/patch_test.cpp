// Patches, the tokens before them, positions on another map, and images that are refused.
#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "interop/temporary_folder.h"
#include "stems/cubic.h"

namespace formwork {
namespace {

// The stem alone: a model without layers and without a final norm.
std::shared_ptr<Model> stem_model(Json stem, int64_t width = 5) {
  stem["type"] = "patch";
  const Json model = {{"type", "image_encoder"}, {"width", width}, {"stem", stem}, {"norm", nullptr}};
  auto built = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 1, at::kDouble);
  const at::NoGradGuard guard;
  at::manual_seed(2);
  for (auto& param : built->inventory().params) param.value.normal_();
  return built;
}

Tensor run(Model& model, const Record& in) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, in).at("last_hidden_state");
}

Tensor value(const Model& model, const std::string& name) {
  return model.inventory().by_name.at(name)->value.detach().clone();
}

Tensor images(int64_t height, int64_t width, int64_t channels = 3) {
  at::manual_seed(3);
  return at::randn({2, channels, height, width}, at::kDouble);
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// Pixel by pixel: patch (i, j) is token i * columns + j, after the class and the distillation token.
TEST(PatchStem, IsASumOverThePixelsOfEachPatch) {
  auto model = stem_model(
      {{"image", 4}, {"image_width", 6}, {"patch", 2}, {"patch_width", 3}, {"distillation_token", true}});
  const auto x = images(4, 6);
  const auto y = run(*model, {{"pixel_values", x}});
  ASSERT_EQ(y.sizes(), at::IntArrayRef({2, 2 + 2 * 2, 5}));
  const auto weight = value(*model, "stem.projection.weight"), bias = value(*model, "stem.projection.bias");
  auto expected = value(*model, "stem.positions").unsqueeze(0).repeat({2, 1, 1});
  expected.select(1, 0).add_(value(*model, "stem.class_token"));
  expected.select(1, 1).add_(value(*model, "stem.distillation_token"));
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      const auto patch = x.narrow(2, 2 * i, 2).narrow(3, 3 * j, 3).flatten(1);
      expected.select(1, 2 + 2 * i + j).add_(patch.matmul(weight.flatten(1).t()) + bias);
    }
  EXPECT_LT(gap(y, expected), 1e-12);
}

TEST(PatchStem, CountsMissingPixelsAsZeros) {
  auto model = stem_model({{"image", 5}, {"patch", 2}, {"pad", true}, {"norm", "layer_norm"}});
  const auto x = images(5, 5), wide = at::constant_pad_nd(x, {0, 1, 0, 1});
  const auto y = run(*model, {{"pixel_values", x}});
  EXPECT_EQ(y.size(1), 1 + 9);
  EXPECT_EQ(gap(y, run(*model, {{"pixel_values", wide}})), 0);
}

TEST(PatchStem, InterpolatesPositionsOfPatchesAlone) {
  auto model = stem_model({{"image", 6}, {"image_width", 8}, {"patch", 2}});
  const Record wanted = {{"interpolate_pos_encoding", at::ones({}, at::kBool)}};
  auto same = wanted, other = wanted;
  same["pixel_values"] = images(6, 8), other["pixel_values"] = images(10, 4);
  EXPECT_EQ(gap(run(*model, same), run(*model, {{"pixel_values", same["pixel_values"]}})), 0);

  const auto table = value(*model, "stem.positions");
  const auto map = table.narrow(0, 1, 12).view({3, 4, 5});
  const auto stretched = at::einsum("ip,jq,pqd->ijd", {cubic_matrix(3, 5), cubic_matrix(4, 2), map});
  const auto with = run(*model, other);
  model->inventory().by_name.at("stem.positions")->value.detach().zero_();
  const auto added = with - run(*model, other);
  EXPECT_LT(gap(added[0][0], table[0]), 1e-12);
  EXPECT_LT(gap(added[0].narrow(0, 1, 10), stretched.view({10, 5})), 1e-12);
}

TEST(PatchStem, RefusesOtherImagesInOneLine) {
  auto model = stem_model({{"image", 4}, {"patch", 2}});
  const auto refusal = [&](const Record& in) { return error_of([&] { run(*model, in); }); };
  EXPECT_EQ(refusal({}), "input 'pixel_values' is missing");
  EXPECT_EQ(
      refusal({{"pixel_values", images(4, 4, 2)}}),
      "input 'pixel_values': expected [B, 3, H, W] of floating-point numbers, found [2, 2, 4, 4] of Double");
  EXPECT_EQ(
      refusal({{"pixel_values", images(4, 4).to(at::kByte)}}),
      "input 'pixel_values': expected [B, 3, H, W] of floating-point numbers, found [2, 3, 4, 4] of Byte");
  EXPECT_EQ(refusal({{"pixel_values", images(4, 5)}}),
            "input 'pixel_values': expected images of whole patches of 2 x 2 pixels, found 4 x 5 pixels");
  EXPECT_EQ(refusal({{"pixel_values", images(4, 6)}}),
            "input 'pixel_values': expected images of 4 x 4 pixels, found 4 x 6 pixels; with "
            "'interpolate_pos_encoding' true the positions are interpolated");
  EXPECT_NE(refusal({{"pixel_value", images(4, 4)}}).find("did you mean 'pixel_values'?"), std::string::npos);
  EXPECT_EQ(error_of([] {
              stem_model({{"image", 30}, {"patch", 16}});
            }),
            "stem: an image of 30 x 30 pixels is not divisible into patches of 16 x 16 pixels; choose image "
            "or patch");
}

}  // namespace
}  // namespace formwork
