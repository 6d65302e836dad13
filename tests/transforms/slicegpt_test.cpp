#include "formwork/transforms/factorize/slicegpt.h"

#include "transforms/fixtures.h"

namespace formwork {
namespace {

TransformResult slice(const Json& options, const std::shared_ptr<Model>& model) {
  return apply("slicegpt", options, model);
}
std::string slice_refusal(const Json& options, const std::shared_ptr<Model>& model,
                          const Calibration& data = calibration()) {
  return refusal("slicegpt", options, model, data);
}

DecoderShape with_biases(const std::string& norm, bool biases, at::ScalarType dtype = at::kDouble) {
  DecoderShape shape;
  shape.norm = norm, shape.dtype = dtype;
  shape.mixer["bias"] = shape.mixer["out_bias"] = biases;
  shape.channel = {{"type", "mlp"}, {"hidden", 48}, {"bias", biases}};
  return shape;
}

SliceGpt method(const Json& options) {
  return SliceGpt(parse_options<SliceGpt::Options>(options, "slicegpt"));
}

double orthogonality(const Tensor& q) { return largest(q.t().matmul(q) - at::eye(q.size(1), q.options())); }

TEST(SliceGpt, FoldingNormsKeepsTheFunction) {
  for (const std::string norm : {"rms_norm", "layer_norm"})
    for (const bool tie : {true, false})
      for (const bool biases : {true, false}) {
        auto shape = with_biases(norm, biases, at::kFloat);
        shape.tie = tie;
        auto model = make_decoder(shape);
        auto folded = method(Json::object()).prepare(model);
        EXPECT_LT(distance(*model, *folded), 1e-4) << norm << tie << biases;
        for (const auto& info : folded->inventory().norms) {
          EXPECT_EQ(info.type, "rms_norm");
          EXPECT_TRUE(info.gain.empty() && info.bias.empty());
        }
      }
}

TEST(SliceGpt, FoldingNormsTakesAlongWhatTheyAddToTheirGain) {
  const Json norm = {{"type", "rms_norm"}, {"offset", 1}};
  const Json layer = {{"mixer", DecoderShape().mixer}, {"channel", DecoderShape().channel}, {"norm", norm}};
  const Json model = {{"type", "decoder"},        {"vocab", 29},  {"width", 32},
                      {"layers", {layer, layer}}, {"norm", norm}, {"tie", false}};
  const auto offset = noisy({{"formwork", 1}, {"model", model}}, at::kDouble);
  EXPECT_LT(distance(*offset, *method(Json::object()).prepare(offset)), 1e-9);
}

TEST(SliceGpt, WithoutSlicingKeepsTheFunction) {
  for (const std::string norm : {"rms_norm", "layer_norm"})
    for (const std::string wiring : {"pre", "parallel"})
      for (const std::string orientation : {"pca", "random"}) {
        auto shape = with_biases(norm, true);
        shape.wiring = wiring;
        auto model = make_decoder(shape);
        auto rotated = slice({{"sparsity", 0.0}, {"orientation", orientation}}, model).model;
        EXPECT_LT(distance(*model, *rotated), 1e-9) << norm << wiring << orientation;
        int64_t shortcuts = 0;
        for (auto* map : rotated->inventory().maps)
          if (map->role() == Role::shortcut) {
            EXPECT_LT(orthogonality(map->dense()), 1e-9) << map->path();
            ++shortcuts;
          }
        EXPECT_EQ(shortcuts, wiring == "pre" ? 4 : 2);
      }
}

// The rotated model with the channels past `kept` set to zero at each position.
Tensor masked_logits(Model& rotated, const std::vector<StreamBasis>& bases) {
  const at::NoGradGuard guard;
  auto ctx = rotated.make_context();
  auto streams = rotated.start(ctx, {{"input_ids", at::arange(24, at::kLong).view({2, 12})}});
  for (size_t p = 0; p < bases.size(); ++p) {
    auto& x = streams.at("residual").x;
    x = x * (at::arange(x.size(2), at::kLong) < bases[p].kept).to(x.scalar_type());
    if (p + 1 < bases.size()) rotated.run(ctx, static_cast<int64_t>(p), static_cast<int64_t>(p) + 1, streams);
  }
  Record out;
  rotated.finish(ctx, streams, out);
  return out["logits"];
}

TEST(SliceGpt, SlicedEqualsRotatedWithZeros) {
  for (const std::string norm : {"rms_norm", "layer_norm"})
    for (const Json& more : {Json::object(), Json{{"slice_head", true}},
                             Json{{"schedule", {0.5, 0.25, 0.0, 0.25, 0.5}}, {"slice_head", true}}}) {
      Json options = {{"sparsity", 0.25}, {"orientation", "pca"}};
      options.update(more);
      auto model = make_decoder(with_biases(norm, true));
      const auto slicer = method(options);
      const auto prepared = slicer.prepare(model);
      const auto bases = slicer.find_bases(*prepared, calibration());
      std::vector<Tensor> whole;
      whole.reserve(bases.size());
      for (const auto& basis : bases) whole.push_back(basis.vectors);
      const auto rotated = SliceGpt::change_bases(*prepared, whole);
      EXPECT_LT(distance(*model, *rotated), 1e-9);
      const auto sliced = slice(options, model).model;
      EXPECT_LT(largest(logits(*sliced) - masked_logits(*rotated, bases)), 1e-9) << norm << more.dump();
      EXPECT_GT(distance(*model, *sliced), 1e-3);
      options["orientation"] = "random";
      EXPECT_LT(distance(*sliced, *slice(options, model).model), 1e-9) << norm << more.dump();
    }
}

TEST(SliceGpt, WidthsAreCutAndRounded) {
  auto model = make_decoder();
  const auto size = [](const Model& of, const std::string& axis) {
    return of.inventory().axes.at(axis).size;
  };
  const auto made = slice({{"sparsity", 0.25}}, model);
  EXPECT_EQ(size(*made.model, "residual"), 24);
  EXPECT_EQ(size(*made.model, "layers.0.mixer.stream"), 24);
  EXPECT_EQ(size(*made.model, "layers.1.channel.stream"), 32);  // the head keeps its inputs
  EXPECT_EQ(size(*slice({{"sparsity", 0.3}}, model).model, "residual"), 16);
  EXPECT_EQ(size(*slice({{"sparsity", 0.3}, {"round_interval", 1}}, model).model, "residual"), 22);
  EXPECT_EQ(size(*slice({{"slice_head", true}}, model).model, "layers.1.channel.stream"), 24);
  EXPECT_EQ(made.report["parameters"], made.model->parameter_count());
  EXPECT_LT(distance(*made.model, *reloaded(*made.model, "sliced")), 1e-15);
}

TEST(SliceGpt, CountsItsMatricesAndShortcuts) {
  DecoderShape shape;
  shape.mixer = {{"type", "attention"}, {"heads", 4}};
  shape.channel = {{"type", "mlp"}, {"hidden", 128}, {"bias", false}};
  const auto flops = [&](int64_t layers, double sparsity) {
    shape.layers = layers;
    return slice({{"sparsity", sparsity}, {"slice_head", true}}, make_decoder(shape))
        .model->flops_per_token(0);
  };
  // A block of 12 D^2 keeps 12 D D', and two shortcuts of D'^2 come with it.
  const double d = 32, kept = 24;
  EXPECT_EQ((flops(2, 0.25) - flops(1, 0.25)) / 2, 12 * d * kept + 2 * kept * kept);
}

TEST(SliceGpt, DecodesAsItRuns) {
  auto sliced = slice({{"sparsity", 0.25}}, make_decoder()).model;
  const at::NoGradGuard guard;
  const auto ids = at::arange(24, at::kLong).view({2, 12});
  auto ctx = sliced->make_context();
  StateOptions options;
  options.batch = 2, options.dtype = at::kDouble;
  auto state = sliced->make_state(ctx, {}, options);
  std::vector<Tensor> parts;
  for (const auto& piece : ids.split_with_sizes({5, 1, 6}, 1))
    parts.push_back(sliced->append(ctx, {{"input_ids", piece}}, state)["logits"]);
  EXPECT_LT(largest(at::cat(parts, 1) - logits(*sliced)), 1e-9);
}

TEST(SliceGpt, DiscardedEnergyIsWhatTheProjectionLoses) {
  auto model = make_decoder();
  const auto slicer = method({{"sparsity", 0.25}});
  const auto prepared = slicer.prepare(model);
  const auto bases = slicer.find_bases(*prepared, calibration());
  const at::NoGradGuard guard;
  double lost = 0, all = 0;
  for (const auto& batch : calibration().batches) {
    auto ctx = prepared->make_context();
    const auto streams = prepared->start(ctx, batch);
    Context real;
    real.layout = &streams.at("residual").layout;
    const auto x = real_tokens(real, streams.at("residual").x);
    const auto q = bases[0].vectors.narrow(1, 0, bases[0].kept);
    lost += (x - x.matmul(q).matmul(q.t())).square().sum().item<double>();
    all += x.square().sum().item<double>();
  }
  EXPECT_NEAR(bases[0].discarded / lost, 1, 1e-3);
  EXPECT_NEAR(bases[0].energy / all, 1, 1e-3);
  const auto report = slice({{"sparsity", 0.25}}, model).report["positions"];
  EXPECT_NEAR(report[0]["discarded"].get<double>() / lost, 1, 1e-3);
  EXPECT_EQ(report[4]["discarded"], 0);
}

TEST(SliceGpt, PrincipalBasisSortsVariance) {
  at::manual_seed(1);
  const auto x = at::randn({50, 6}, at::kDouble) * at::arange(1, 7, at::kDouble);
  const auto moment = x.t().matmul(x);
  const auto [vectors, values] = principal_basis(moment);
  EXPECT_LT(largest(vectors.t().matmul(moment).matmul(vectors) - at::diag(values)), 1e-8 * largest(moment));
  EXPECT_TRUE((values.diff() <= 0).all().item<bool>());
}

TEST(SliceGpt, OneSharedBasisNeedsNoShortcuts) {
  auto model = make_decoder();
  const auto whole = slice({{"sparsity", 0.0}, {"shared_basis", true}}, model).model;
  EXPECT_LT(distance(*model, *whole), 1e-9);
  const auto made = slice({{"sparsity", 0.25}, {"shared_basis", true}}, model).model;
  for (auto* map : made->inventory().maps) EXPECT_NE(map->role(), Role::shortcut);
  EXPECT_EQ(made->inventory().axes.at("residual").size, 24);
  const auto own = slice({{"sparsity", 0.25}}, model);
  EXPECT_LT(made->parameter_count(), own.model->parameter_count());
}

TEST(SliceGpt, SlicedModelsAreSlicedFurtherOnly) {
  auto model = make_decoder();
  for (const bool shared : {false, true}) {
    const auto once = slice({{"sparsity", 0.25}, {"shared_basis", shared}}, model).model;
    const auto twice = slice({{"sparsity", 0.5}}, once).model;
    EXPECT_EQ(twice->inventory().axes.at("residual").size, 16);
    EXPECT_EQ(twice->inventory().axes.at("layers.1.mixer.stream").size, 16);
    EXPECT_LT(twice->parameter_count(), once->parameter_count());
    EXPECT_LT(distance(*once, *slice({{"sparsity", 0.0}}, once).model), 1e-9) << shared;
    EXPECT_NE(
        slice_refusal({{"sparsity", 0.0001}, {"round_interval", 1}}, once).find("only be sliced further"),
        std::string::npos);
  }
}

TEST(SliceGpt, PaddingDoesNotCountUnlessAskedTo) {
  auto model = make_decoder();
  auto padded = calibration();
  // What stands in the place of padding makes no difference.
  auto other = padded;
  for (auto& batch : other.batches) {
    batch["input_ids"] = batch["input_ids"].clone();
    batch["input_ids"][0].narrow(0, 0, 5).fill_(3);
  }
  const auto bases = [&](const Json& options, const Calibration& data) {
    const auto slicer = method(options);
    return slicer.find_bases(*slicer.prepare(model), data);
  };
  const Json pca = {{"orientation", "pca"}}, unmasked = {{"orientation", "pca"}, {"apply_mask", false}};
  EXPECT_NEAR(bases(pca, padded)[0].energy, bases(pca, other)[0].energy, 1e-9);
  EXPECT_GT(bases(unmasked, padded)[0].energy, bases(pca, padded)[0].energy * 1.02);
  // Rows and tokens past the limits do not count either.
  auto longer = calibration(false, 2, 24);
  const auto cut = bases({{"orientation", "pca"}, {"sequences", 4}, {"length", 10}}, longer);
  auto first = longer.batches[0];
  first["input_ids"] = first["input_ids"].narrow(1, 0, 10);
  Calibration alone;
  alone.batches.push_back(first);
  EXPECT_NEAR(cut[0].energy, bases(pca, alone)[0].energy, 1e-9);
}

TEST(SliceGpt, RecoveryLeavesUpdatesToTrain) {
  auto model = make_decoder();
  const auto sliced = slice({{"sparsity", 0.25}}, model).model;
  const auto adapted = slice({{"sparsity", 0.25}, {"recovery", "lora"}, {"lora_rank", 4}}, model).model;
  EXPECT_LT(distance(*sliced, *adapted), 1e-12);  // updates begin at zero
  for (auto* map : adapted->inventory().maps) {
    const bool block =
        map->role() != Role::embed && map->role() != Role::head && map->role() != Role::shortcut;
    EXPECT_EQ(map->type() == "lora", block) << map->path();
  }
  const auto& update = adapted->inventory().by_name.at("layers.0.mixer.out.b")->value;
  EXPECT_EQ(update.size(1), 4);
  EXPECT_FALSE(adapted->inventory().by_name.at("layers.0.mixer.out.base.weight")->trainable());
  set(*adapted, "layers.0.mixer.out.b", at::ones_like(update));
  const auto merged = apply("to_dense", Json::object(), adapted).model;
  EXPECT_EQ(merged->parameter_count(), sliced->parameter_count());
  EXPECT_LT(distance(*adapted, *merged), 1e-9);
  EXPECT_GT(distance(*adapted, *sliced), 1e-3);
}

TEST(SliceGpt, RefusesWhatItCannotDo) {
  auto model = make_decoder();
  EXPECT_NE(slice_refusal({{"sparsity", 1.0}}, model).find("'sparsity'"), std::string::npos);
  EXPECT_NE(slice_refusal({{"sparsity", -0.1}}, model).find("'sparsity'"), std::string::npos);
  EXPECT_NE(slice_refusal({{"sparsity", 0.9}}, model).find("fewer than 8"), std::string::npos);
  EXPECT_NE(slice_refusal({{"schedule", {0.25}}}, model).find("5 positions"), std::string::npos);
  EXPECT_NE(slice_refusal(Json::object(), model, Calibration{}).find("no calibration data"),
            std::string::npos);
  const auto refuses = [&](const char* field, const std::string& value) {
    DecoderShape shape;
    (field == std::string("wiring") ? shape.wiring
     : field == std::string("norm") ? shape.norm
                                    : shape.position) = value;
    return slice_refusal(Json::object(), make_decoder(shape));
  };
  EXPECT_NE(refuses("wiring", "post").find("post-norm"), std::string::npos);
  EXPECT_NE(refuses("norm", "batch_norm").find("batch_norm"), std::string::npos);
  EXPECT_NE(refuses("position", "sinusoidal").find("wave"), std::string::npos)
      << refuses("position", "sinusoidal");
  auto data = calibration();
  data.batches[0]["attention_mask"] = at::ones({4, 7}, at::kLong);
  EXPECT_NE(slice_refusal(Json::object(), model, data).find("shape [4, 24]"), std::string::npos);
  auto broken = make_decoder();
  set(*broken, "layers.0.mixer.out.weight", at::full({32, 32}, NAN, at::kDouble));
  EXPECT_NE(slice_refusal(Json::object(), broken).find("before 'layers.0.channel' is not finite on batch 0"),
            std::string::npos);
  const auto compressed = apply("int4_rtn", {{"group", 8}}, make_decoder({.dtype = at::kFloat})).model;
  EXPECT_NE(slice_refusal(Json::object(), compressed).find("fold before compressing"), std::string::npos);
}

}  // namespace
}  // namespace formwork
