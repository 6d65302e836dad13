// Decoders and encoders over rows of vectors: the linear stem, the regression heads, trunk norms,
// initializations.
#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

constexpr const char* kDecoder = R"({"type": "decoder", "width": 8, "stem": {"type": "linear", "features": 3},
  "position": {"type": "learned", "context": 7}, "norm": null, "head": {"type": "regression", "outputs": 2},
  "layers": [{"mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 6}}]})";

std::shared_ptr<Model> build_rows(const Json& changes, const Json& sources = Json::object()) {
  Json model = Json::parse(kDecoder);
  model.update(changes);
  auto built = build_model(Spec::from_json({{"formwork", 1}, {"model", model}, {"sources", sources}}, "test"),
                           3, at::kDouble);
  return built;
}

Record run_rows(Model& model, const Tensor& x, Record more = {}) {
  const at::NoGradGuard guard;
  more["input_features"] = x;
  auto ctx = model.make_context();
  return model.forward(ctx, more);
}

Tensor value(const Model& model, const std::string& name) {
  return model.inventory().by_name.at(name)->value.detach().clone();
}

double rows_gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(VectorRows, AStackWithoutLayersIsTwoMapsAndThePositions) {
  auto model = build_rows({{"layers", Json::array()}});
  const auto x = at::randn({2, 5, 3}, at::kDouble);
  const auto stream = x.matmul(value(*model, "stem.projection.weight").t()) +
                      value(*model, "stem.projection.bias") +
                      value(*model, "position.weight").narrow(0, 0, 5);
  const auto y = stream.matmul(value(*model, "head.weight").t()) + value(*model, "head.bias");
  EXPECT_LT(rows_gap(run_rows(*model, x).at("predictions"), y), 1e-13);
}

TEST(VectorRows, ThatDoNotFitAreRefused) {
  auto model = build_rows(Json::object());
  const auto refused = [&](const Tensor& x) { return error_of([&] { run_rows(*model, x); }); };
  EXPECT_EQ(
      refused(at::zeros({2, 5, 4}, at::kDouble)),
      "input 'input_features': expected [B, T, 3] of floating-point numbers, found [2, 5, 4] of Double");
  EXPECT_EQ(
      refused(at::zeros({2, 5}, at::kLong)),
      "input 'input_features': expected [B, T, F] of floating-point numbers, found 2 dimensions of Long");
  EXPECT_EQ(refused(at::zeros({2, 0, 3}, at::kDouble)),
            "input 'input_features': expected rows of at least 1 token, found 0");
  EXPECT_EQ(refused(at::zeros({1, 8, 3}, at::kDouble)), "position: position 7 is past the 7 learned ones");
  const at::NoGradGuard guard;
  auto ctx = model->make_context();
  EXPECT_EQ(error_of([&] {
              model->forward(ctx, {{"input_ids", at::zeros({1, 2}, at::kLong)}});
            }),
            "unknown input 'input_ids'; known: attention_mask, position_ids, prefix_lengths, offsets, "
            "parents, anchors, "
            "input_features");
}

TEST(VectorRows, OptionsOfAnEmbeddingAreRefused) {
  EXPECT_EQ(error_of([] {
              build_rows({{"embed_width", 4}});
            }),
            "embed: embed_width has no effect with stem 'linear', which has no embedding");
  EXPECT_EQ(error_of([] {
              build_rows({{"head", "lm"}});
            }),
            "head: reads a vocabulary, which a model without tokens lacks");
  EXPECT_EQ(
      error_of([] {
        build_rows({{"stem", {{"type", "patch"}, {"image", 4}, {"patch", 2}}}});
      }),
      "stem: stem 'patch' does not take a row's tokens one by one; expected one that does, such as 'linear'");
}

// softmax over the real tokens alone.
TEST(PooledRegression, ReadsTheMeanOfTokensByTheirScores) {
  for (const int64_t hidden : {0, 5}) {
    auto model = build_rows({{"layers", Json::array()},
                             {"type", "encoder"},
                             {"head", {{"type", "pooled_regression"}, {"outputs", 2}, {"hidden", hidden}}}});
    const auto x = at::randn({2, 5, 3}, at::kDouble);
    const auto mask = at::tensor({1, 1, 1, 1, 1, 1, 1, 1, 0, 0}, at::kLong).view({2, 5});
    auto h = x.matmul(value(*model, "stem.projection.weight").t()) + value(*model, "stem.projection.bias") +
             value(*model, "position.weight").narrow(0, 0, 5);
    auto scores = (h.matmul(value(*model, "head.score.weight").t()) + value(*model, "head.score.bias")).exp();
    scores = scores * mask.unsqueeze(-1);
    auto row = (scores * h).sum(1) / scores.sum(1);
    if (hidden)
      row = at::gelu(row.matmul(value(*model, "head.hidden.weight").t()) + value(*model, "head.hidden.bias"));
    const auto y = row.matmul(value(*model, "head.weight").t()) + value(*model, "head.bias");
    EXPECT_LT(rows_gap(run_rows(*model, x, {{"attention_mask", mask}}).at("predictions"), y), 1e-12)
        << hidden;
  }
}

TEST(Trunk, TheNormedValueGoesPastTheBody) {
  const Json layer = {
      {"type", "trunk"}, {"norm", "layer_norm"}, {"channel", {{"type", "mlp"}, {"hidden", 6}}}};
  auto model = build_rows({{"layers", Json::array({layer})}, {"position", "none"}, {"head", "hidden"}});
  const auto x = at::randn({2, 4, 3}, at::kDouble);
  const auto stream =
      x.matmul(value(*model, "stem.projection.weight").t()) + value(*model, "stem.projection.bias");
  const auto n = at::layer_norm(stream, {8});
  const auto hidden = at::gelu(n.matmul(value(*model, "layers.0.channel.up.weight").t()) +
                               value(*model, "layers.0.channel.up.bias"));
  const auto y = n + hidden.matmul(value(*model, "layers.0.channel.down.weight").t()) +
                 value(*model, "layers.0.channel.down.bias");
  EXPECT_LT(rows_gap(run_rows(*model, x).at("last_hidden_state"), y), 1e-12);
}

TEST(Stack, TheStreamAfterEachStepHasATap) {
  auto model = build_rows(Json::object());
  std::vector<std::string> seen;
  Tensor last;
  auto board = model->make_board();
  board.read("*.stream",
             [&](const TapEvent& event, const Tensor& x) { seen.push_back(event.name), last = x; });
  const at::NoGradGuard guard;
  auto ctx = model->make_context(&board);
  const auto out = model->forward(ctx, {{"input_features", at::randn({2, 4, 3}, at::kDouble)}});
  EXPECT_EQ(seen, (std::vector<std::string>{"layers.0.mixer.stream", "layers.0.channel.stream"}));
  const auto y = last.matmul(value(*model, "head.weight").t()) + value(*model, "head.bias");
  EXPECT_LT(rows_gap(out.at("predictions"), y), 1e-13);
}

TEST(Sources, GiveParametersTheirInitializationByTheLongestPattern) {
  const auto init = [](const char* name) { return Json{{"type", "stored"}, {"init", name}}; };
  const auto model = build_rows(
      Json::object(), {{"*", init("constant:2")},
                       {"layers.*", init("ones")},
                       {"layers.0.mixer.*", {{"type", "stored"}, {"frozen", true}}},
                       {"head.bias", {{"type", "stored"}, {"frozen", true}, {"init", "constant:3"}}}});
  for (const auto& param : model->inventory().params) {
    const bool layer = param.name.starts_with("layers."), bias = param.name == "head.bias";
    EXPECT_TRUE(param.value.eq(bias ? 3 : layer ? 1 : 2).all().item<bool>()) << param.name;
    EXPECT_EQ(param.trainable(), !bias && !param.name.starts_with("layers.0.mixer.")) << param.name;
  }
  EXPECT_NE(error_of([&] {
              build_rows(Json::object(), {{"*", init("constnat:2")}});
            }).find("constant"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              build_rows(Json::object(), {{"*", {{"type", "stored"}, {"inti", "ones"}}}});
            }),
            "");
}

}  // namespace
}  // namespace formwork
