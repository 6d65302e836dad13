// Transforms written for streams of tokens, on models of images: they apply, or say why not.
#include "stems/cubic.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

Json layer(const Json& mixer) {
  return {{"norm", "layer_norm"}, {"mixer", mixer}, {"channel", {{"type", "mlp"}, {"hidden", 24}}}};
}

std::shared_ptr<Model> vit() {
  const Json attention = {{"type", "attention"}, {"heads", 4}, {"bias", true}, {"out_bias", true}};
  return noisy({{"formwork", 1},
                {"model",
                 {{"type", "image_encoder"},
                  {"width", 16},
                  {"stem", {{"type", "patch"}, {"image", 8}, {"patch", 2}, {"distillation_token", true}}},
                  {"layers", {{"repeat", 3}, {"pattern", Json::array({layer(attention)})}}},
                  {"head", {{"type", "distilled"}, {"classes", 5}}}}}},
               at::kDouble);
}

std::shared_ptr<Model> swin() {
  const auto window = [](int64_t shift) {
    return layer({{"type", "window_attention"}, {"heads", 4}, {"window", 4}, {"shift", shift}});
  };
  return noisy(
      {{"formwork", 1},
       {"model",
        {{"type", "image_encoder"},
         {"width", 16},
         {"stem",
          {{"type", "patch"}, {"image", 16}, {"patch", 2}, {"class_token", false}, {"positions", false}}},
         {"layers", {window(0), window(2), {{"type", "patch_merging"}}, window(0)}},
         {"head", {{"type", "classifier"}, {"classes", 5}}}}}},
      at::kDouble);
}

Calibration images(int64_t side) {
  at::manual_seed(8);
  Calibration data;
  for (int i = 0; i < 3; ++i)
    data.batches.push_back({{"pixel_values", at::randn({4, 3, side, side}, at::kDouble)}});
  return data;
}

Tensor logits_of(Model& model, const Calibration& data) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, data.batches[0]).at("logits");
}

double change(const std::string& name, const Json& options, const std::shared_ptr<Model>& model,
              const Calibration& data) {
  const auto made = apply(name, options, model, data).model;
  return largest(logits_of(*made, data) - logits_of(*model, data));
}

TEST(ImageModels, AVitInAnotherBasisIsTheSameFunction) {
  EXPECT_LT(change("slicegpt", {{"sparsity", 0.0}}, vit(), images(8)), 1e-8);
}

TEST(ImageModels, SlicesDropsPrunesAndQuantizesAVit) {
  const auto data = images(8);
  for (const auto& [name, options] : std::vector<std::pair<std::string, Json>>{
           {"slicegpt", {{"sparsity", 0.25}, {"round_interval", 1}, {"slice_head", true}}},
           {"llm_drop", {{"target", "attn"}, {"n", 1}}},
           {"llm_drop", {{"target", "block"}, {"n", 1}}},
           {"magnitude", {{"sparsity", 0.5}}},
           {"wanda", {{"sparsity", 0.5}}},
           {"lord", {{"rank", 4}}},
           {"llm_int8", Json::object()}}) {
    const double moved = change(name, options, vit(), data);
    EXPECT_GT(moved, 1e-6) << name;
    EXPECT_LT(moved, 10) << name;
  }
}

TEST(ImageModels, DropsPrunesAndQuantizesASwin) {
  const auto data = images(16);
  for (const auto& [name, options] :
       std::vector<std::pair<std::string, Json>>{{"llm_drop", {{"target", "attn"}, {"n", 1}}},
                                                 {"magnitude", {{"sparsity", 0.5}}},
                                                 {"wanda", {{"sparsity", 0.5}}},
                                                 {"lord", {{"rank", 4}}},
                                                 {"llm_int8", Json::object()}}) {
    const double moved = change(name, options, swin(), data);
    EXPECT_GT(moved, 1e-6) << name;
    EXPECT_LT(moved, 10) << name;
  }
}

TEST(ImageModels, APyramidRefusesWhatNeedsOneStream) {
  const auto data = images(16);
  EXPECT_EQ(refusal("slicegpt", {{"sparsity", 0.25}}, swin(), data),
            "slicegpt: expected a model with one stream 'residual', found layers.2.stream, residual");
  EXPECT_EQ(refusal("llm_drop", {{"target", "block"}, {"n", 1}}, swin(), data),
            "llm_drop: 'layers.2.merge' makes other tokens of the stream, which nothing passes unchanged");
}

// Windows of 4 become windows of 6: tables are interpolated each way, and shifts are half a window again.
TEST(ImageModels, WindowsOfAnotherSideHaveInterpolatedTables) {
  const at::NoGradGuard guard;
  const auto model = swin();
  const auto made = apply("resize_windows", {{"window", 6}}, model, {});
  EXPECT_EQ(made.report.at("windows").size(), 3u);
  const auto line = cubic_matrix(7, 11);
  for (const char* name : {"layers.0.mixer.table", "layers.1.mixer.table", "layers.3.mixer.table"}) {
    const auto before = model->inventory().by_name.at(name)->value.view({7, 7, 4});
    const auto after = made.model->inventory().by_name.at(name)->value;
    EXPECT_LT(largest(after.view({11, 11, 4}) - at::einsum("ip,jq,pqh->ijh", {line, line, before})), 1e-12);
  }
  EXPECT_EQ(made.model->spec().parts.at("layers.1.mixer").at("shift"), 3);
  EXPECT_EQ(made.model->spec().parts.at("layers.0.mixer").at("shift"), 0);
  const auto logits = logits_of(*made.model, images(24));
  EXPECT_EQ(logits.sizes(), at::IntArrayRef({4, 5}));
  EXPECT_TRUE(at::equal(logits_of(*reloaded(*made.model, "windows"), images(24)), logits));
  EXPECT_LT(change("magnitude", {{"sparsity", 0.5}}, made.model, images(24)), 10);  // and is compressed again
  EXPECT_EQ(refusal("resize_windows", {{"window", 6}}, made.model),
            "resize_windows: the model has no attention in windows of another side than 6");
  EXPECT_EQ(refusal("resize_windows", {{"window", 6}}, vit()),
            "resize_windows: the model has no attention in windows of another side than 6");
}

// There and back again: tables that hold one number do not change, so neither does the model.
TEST(ImageModels, ConstantTablesStayWhatTheyAre) {
  const at::NoGradGuard guard;
  const auto model = swin();
  for (auto& param : model->inventory().params)
    if (param.name.ends_with(".table")) param.value.fill_(0.3);
  const auto there = apply("resize_windows", {{"window", 7}}, model, {}).model;
  EXPECT_LT(std::abs(there->inventory().by_name.at("layers.0.mixer.table")->value.min().item<double>() - 0.3),
            1e-12);
  const auto back = apply("resize_windows", {{"window", 4}}, there, {}).model;
  EXPECT_LT(largest(logits_of(*back, images(16)) - logits_of(*model, images(16))), 1e-12);
}

// Heads that are cut take their columns of the table along.
TEST(ImageModels, HeadsOfWindowsAreCutWithTheirTables) {
  const at::NoGradGuard guard;
  auto model = swin();
  const auto data = images(16);
  for (const char* name : {"layers.0.mixer.qkv.weight", "layers.0.mixer.qkv.bias"}) {
    auto rows = model->inventory().by_name.at(name)->value.unflatten(0, {3, 4, 4});
    rows.select(0, 2).select(0, 1).zero_();  // the values of head 1
  }
  Edit edit(*model);
  edit.select("layers.0.mixer.heads", at::tensor({0, 2, 3}, at::kLong));
  const auto cut = edit.finish();
  EXPECT_EQ(cut->inventory().by_name.at("layers.0.mixer.table")->value.size(1), 3);
  EXPECT_LT(largest(logits_of(*cut, data) - logits_of(*model, data)), 1e-12);
}

}  // namespace
}  // namespace formwork
