// Image encoders: flat ones (ViT, DeiT) and pyramids (Swin).
#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

std::shared_ptr<Model> build(const Json& model, bool allocate = true) {
  return build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 1, at::kDouble, allocate);
}

Json layer(const Json& mixer) {
  return {{"norm", "layer_norm"}, {"mixer", mixer}, {"channel", {{"type", "mlp"}, {"hidden", 12}}}};
}

Json vit(const Json& head, Json stem = Json::object()) {
  stem["type"] = "patch", stem["image"] = 6, stem["patch"] = 2;
  const Json attention = {{"type", "attention"}, {"heads", 2}, {"bias", true}, {"out_bias", true}};
  return {{"type", "image_encoder"},
          {"width", 8},
          {"stem", stem},
          {"layers", {{"repeat", 2}, {"pattern", Json::array({layer(attention)})}}},
          {"head", head}};
}

Record run(Model& model, const Tensor& pixels, bool train = false) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  ctx.mode.train = train;
  return model.forward(ctx, {{"pixel_values", pixels}});
}

Tensor pixels(int64_t side = 6) {
  at::manual_seed(4);
  return at::randn({2, 3, side, side}, at::kDouble);
}

double image_gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(ImageEncoder, EveryPatchSeesEveryOther) {
  auto model = build(vit("hidden"));
  auto x = pixels(), other = x.clone();
  other[0][0][5][5] += 1;
  const auto a = run(*model, x).at("last_hidden_state"), b = run(*model, other).at("last_hidden_state");
  ASSERT_EQ(a.sizes(), at::IntArrayRef({2, 10, 8}));
  EXPECT_GT((a - b)[0].abs().amax(-1).min().item<double>(), 1e-9);
  EXPECT_EQ(image_gap(a[1], b[1]), 0);
}

TEST(ImageEncoder, HeadsReadTheTokensThatTheyName) {
  const auto logits_of = [&](const Json& head, const std::function<Tensor(const Tensor&)>& row) {
    auto model = build(vit(head, {{"distillation_token", true}}));
    Tensor last;
    auto board = model->make_board();
    board.read("norm.out", [&](const TapEvent&, const Tensor& x) { last = x; });
    const at::NoGradGuard guard;
    auto ctx = model->make_context(&board);
    const auto logits = model->forward(ctx, {{"pixel_values", pixels()}}).at("logits");
    const auto weight = model->inventory().by_name.at("head.classes.weight")->value;
    EXPECT_LT(image_gap(logits, row(last).matmul(weight.t())), 1e-12) << head.dump();
  };
  logits_of({{"type", "classifier"}, {"pool", "first"}}, [](const Tensor& x) { return x.select(1, 0); });
  logits_of({{"type", "classifier"}, {"pool", "mean"}}, [](const Tensor& x) { return x.mean(1); });
}

TEST(ImageEncoder, TheDistilledHeadIsTheMeanOfTwoClassifiers) {
  auto model = build(vit({{"type", "distilled"}, {"classes", 3}}, {{"distillation_token", true}}));
  Tensor classes, distillation;
  auto board = model->make_board();
  board.read("head.classes.out", [&](const TapEvent&, const Tensor& x) { classes = x; });
  board.read("head.distillation.out", [&](const TapEvent&, const Tensor& x) { distillation = x; });
  const at::NoGradGuard guard;
  auto ctx = model->make_context(&board);
  const auto logits = model->forward(ctx, {{"pixel_values", pixels()}}).at("logits");
  EXPECT_GT(image_gap(classes, distillation), 1e-4);
  EXPECT_LT(image_gap(logits, (classes + distillation) / 2), 1e-14);
}

// Dropped with certainty in the last of three layers, never in the first: merging layers do not count.
TEST(ImageEncoder, DropPathGrowsFromTheFirstLayerToTheLast) {
  const Json window = {{"type", "window_attention"}, {"heads", 2}, {"window", 2}};
  Json model = {{"type", "image_encoder"},
                {"width", 8},
                {"stem", {{"type", "patch"}, {"image", 8}, {"patch", 1}, {"class_token", false}}},
                {"layers", {layer(window), {{"type", "patch_merging"}}, layer(window)}},
                {"drop_path", 1.0}};
  auto whole = build(model);
  const auto trained = run(*whole, pixels(8), /*train=*/true).at("last_hidden_state");
  EXPECT_GT(image_gap(trained, run(*whole, pixels(8)).at("last_hidden_state")), 1e-6);
  auto spec = whole->spec();
  spec.parts = {{"layers.2.mixer", nullptr}, {"layers.2.channel", nullptr}};
  auto shorter = build_model(spec, 1, at::kDouble);
  EXPECT_LT(image_gap(trained, run(*shorter, pixels(8)).at("last_hidden_state")), 1e-12);
}

TEST(ImageEncoder, RefusesWhatItHasNoUseFor) {
  EXPECT_EQ(error_of([] { build(vit("lm")); }),
            "head: reads a vocabulary, which a model without tokens lacks");
  const Json merging = {{"type", "image_encoder"},
                        {"stem", {{"type", "patch"}, {"image", 6}, {"patch", 2}}},
                        {"layers", Json::array({{{"type", "patch_merging"}}})}};
  EXPECT_EQ(error_of([&] { run(*build(merging), pixels()); }),
            "layers.0.merge: merges patches of a map of height x width, found 1 token dimensions");
  auto odd = merging;
  odd["stem"]["class_token"] = false;
  EXPECT_EQ(error_of([&] { run(*build(odd), pixels()); }),
            "layers.0.merge: expected a map of even sides, found 3 x 3; an image of another size, or pad");
}

// Neighbours in the order of the published weights: down the first column, then down the second.
TEST(PatchMerging, ReadsFourNeighboursColumnByColumn) {
  const Json model = {{"type", "part"},
                      {"kind", "wiring"},
                      {"part", {{"type", "patch_merging"}, {"pad", true}}},
                      {"width", 3},
                      {"dims", {{"height", 3}, {"width", 4}}}};
  auto part = build(model);
  const at::NoGradGuard guard;
  auto& by_name = part->inventory().by_name;
  by_name.at("part.merge.norm.weight")->value.normal_();
  by_name.at("part.merge.norm.bias")->value.normal_();
  const auto x = at::randn({2, 12, 3}, at::kDouble);
  auto ctx = part->make_context();
  const auto y = part->forward(ctx, {{"x", x}}).at("y");
  ASSERT_EQ(y.sizes(), at::IntArrayRef({2, 4, 6}));
  const auto at_place = [&](int64_t row, int64_t column) {
    return row < 3 ? x.select(1, row * 4 + column) : at::zeros({2, 3}, at::kDouble);
  };
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      const auto four = at::cat({at_place(2 * i, 2 * j), at_place(2 * i + 1, 2 * j),
                                 at_place(2 * i, 2 * j + 1), at_place(2 * i + 1, 2 * j + 1)},
                                1);
      const auto normed = at::layer_norm(four, {12}, by_name.at("part.merge.norm.weight")->value,
                                         by_name.at("part.merge.norm.bias")->value);
      const auto expected = normed.matmul(by_name.at("part.merge.reduce.weight")->value.t());
      EXPECT_LT(image_gap(y.select(1, 2 * i + j), expected), 1e-12) << i << ", " << j;
    }
}

// The published sizes: width, depths, heads (groups) of the first stage, which double from stage to stage.
Json swin(int64_t width, const std::vector<int64_t>& depths, int64_t heads,
          Json mixer = {{"type", "window_attention"}}) {
  Json layers = Json::array();
  for (size_t stage = 0; stage < depths.size(); ++stage, heads *= 2) {
    if (stage > 0) layers.push_back({{"type", "patch_merging"}});
    for (int64_t j = 0; j < depths[stage]; ++j) {
      mixer[mixer["type"] == "window_mlp" ? "groups" : "heads"] = heads;
      mixer["shift"] = j % 2 ? mixer.value("window", 7) / 2 : 0;
      layers.push_back({{"norm", "layer_norm"}, {"mixer", mixer}, {"channel", "mlp"}});
    }
  }
  return {{"type", "image_encoder"},
          {"width", width},
          {"stem",
           {{"type", "patch"},
            {"patch", 4},
            {"class_token", false},
            {"positions", false},
            {"norm", "layer_norm"}}},
          {"layers", layers},
          {"head", {{"type", "classifier"}, {"classes", 1000}}}};
}

TEST(Swin, HasThePublishedNumbersOfParameters) {
  const auto count = [](const Json& model) { return build(model, /*allocate=*/false)->parameter_count(); };
  const std::vector<int64_t> tiny = {2, 2, 6, 2}, deep = {2, 2, 18, 2};
  EXPECT_EQ(count(swin(96, tiny, 3)), 28288354);
  EXPECT_EQ(count(swin(96, deep, 3)), 49606258);
  EXPECT_EQ(count(swin(128, deep, 4)), 87768224);
  EXPECT_EQ(count(swin(192, deep, 6)), 196532476);
  const Json mlp = {{"type", "window_mlp"}, {"window", 8}};
  EXPECT_EQ(count(swin(96, tiny, 4, mlp)), 20386632);
  EXPECT_EQ(count(swin(96, tiny, 8, mlp)), 21152072);
  EXPECT_EQ(count(swin(96, tiny, 16, mlp)), 22682952);
  EXPECT_EQ(count(swin(128, deep, 4, {{"type", "window_mlp"}})), 60659416);
}

}  // namespace
}  // namespace formwork
