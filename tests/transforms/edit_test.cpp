#include "formwork/transforms/edit.h"

#include "transforms/fixtures.h"

namespace formwork {
namespace {

std::shared_ptr<Model> tied_decoder(const std::string& norm, bool tie) {
  auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 16,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 4, "kv_heads": 2, "bias": true},
                                         "channel": {"type": "gated_mlp", "hidden": 24}}]},
    "position": "learned"}})");
  for (auto* options : {&json["model"], &json["model"]["layers"]["pattern"][0]}) (*options)["norm"] = norm;
  json["model"]["tie"] = tie;
  auto model = build_model(Spec::from_json(json, "test"), 3, at::kDouble);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params) param.value.add_(at::randn_like(param.value) * 0.1);
  return model;
}

TEST(Edit, PermutingAnAxisKeepsTheFunction) {
  auto model = tied_decoder("rms_norm", true);
  for (const auto& [axis, size] :
       std::vector<std::pair<std::string, int64_t>>{{"residual", 16},
                                                    {"layers.0.channel.hidden", 24},
                                                    {"layers.1.mixer.kv_heads", 2},
                                                    {"layers.1.mixer.v_width", 4},
                                                    {"layers.1.mixer.qk_width", 4}}) {
    Edit edit(*model);
    edit.select(axis, at::arange(size - 1, -1, -1, at::kLong));
    EXPECT_LT(distance(*model, *edit.finish()), 1e-12) << axis;
  }
}

TEST(Edit, FoldingNormsKeepsTheFunctionAndFreesTheResidual) {
  for (const std::string norm : {"rms_norm", "layer_norm"}) {
    auto model = tied_decoder(norm, true);
    Edit untie(*model);
    untie.untie();
    auto untied = untie.finish();
    EXPECT_LT(distance(*model, *untied), 1e-12);
    Edit fold(*untied);
    fold.fold_norms();
    auto folded = fold.finish();
    EXPECT_LT(distance(*model, *folded), 1e-9) << norm;
    Edit rotate(*folded);
    rotate.rotate("residual", std::get<0>(at::linalg_qr(at::randn({16, 16}, at::kDouble))));
    EXPECT_LT(distance(*model, *rotate.finish()), 1e-9) << norm;
  }
}

TEST(Edit, AMapThatTheHeadReadsTooIsReplacedForBothOrUntied) {
  auto spec = tied_decoder("rms_norm", true)->spec();
  spec.linear["embed"] = {{"type", "ggml_block"}, {"format", "q8_0"}};
  const auto model = build_model(spec, 3, at::kDouble);
  const auto& maps = model->inventory().maps;
  auto* embed =
      *std::find_if(maps.begin(), maps.end(), [](const auto* map) { return map->path() == "embed"; });
  Edit dense(*model);
  dense.replace(*embed, "dense", {{"weight", embed->dense()}});
  EXPECT_LT(distance(*model, *dense.finish()), 1e-12);
  Edit untie(*model);
  untie.untie();
  const auto untied = untie.finish();
  EXPECT_LT(distance(*model, *untied), 1e-12);
  EXPECT_EQ(untied->spec().linear.at("head"), spec.linear.at("embed"));
}

TEST(Edit, RefusesWhatAnAxisDoesNotAllow) {
  auto model = tied_decoder("rms_norm", true);
  Edit edit(*model);
  try {
    edit.rotate("residual", at::eye(16, at::kDouble));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("gain for each channel"), std::string::npos) << error.what();
  }
  EXPECT_THROW(edit.finish(), Error);
}

TEST(Edit, DropsAStep) {
  auto model = tied_decoder("rms_norm", true);
  Edit edit(*model);
  edit.drop("layers.1.mixer");
  auto dropped = edit.finish();
  EXPECT_EQ(dropped->segments().size(), 3u);
  EXPECT_LT(dropped->parameter_count(), model->parameter_count());
}

TEST(ModelIo, LoadsTheSameBits) {
  auto model = tied_decoder("layer_norm", false);
  const auto folder = ::testing::TempDir() + "/formwork_model";
  save_model(*model, folder);
  auto loaded = load_model(folder);
  EXPECT_TRUE(at::equal(logits(*model), logits(*loaded)));
}

}  // namespace
}  // namespace formwork
