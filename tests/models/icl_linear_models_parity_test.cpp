// The decoder of What learning algorithm is in-context learning? with the norms and head widths of its
// released code, against that code (tools/parity/icl_linear_models.py).
#include "formwork/tasks/task.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

constexpr const char* kModel = R"({"formwork": 1, "model": {"type": "decoder", "width": 16, "norm": null,
    "stem": {"type": "linear", "features": 4}, "position": {"type": "learned", "context": 12},
    "layers": {"repeat": 3, "pattern": [{"type": "trunk", "norm": "layer_norm",
      "mixer": {"type": "attention", "heads": 4, "head_width": 1, "fused": false, "bias": true, "out_bias": true},
      "channel": {"type": "mlp", "hidden": 64, "activation": "gelu_tanh"}}]},
    "head": {"type": "regression"}}})";

std::string their_name(const std::string& ours) {
  auto name = renamed(ours, {{"stem.projection.", "Transformer_0.Dense_0."},
                             {"position.weight", "Transformer_0.PositionEmbeddings_0.pos_embedding"},
                             {"layers.", "Transformer_0.Encoder1DBlock_"},
                             {".mixer.norm.weight", ".LayerNorm_0.scale"},
                             {".mixer.norm.bias", ".LayerNorm_0.bias"},
                             {".channel.norm.weight", ".LayerNorm_1.scale"},
                             {".channel.norm.bias", ".LayerNorm_1.bias"},
                             {".mixer.", ".SelfAttention_0."},
                             {".channel.up.", ".MLP_0.Dense_0."},
                             {".channel.down.", ".MLP_0.Dense_1."},
                             {".weight", ".kernel"}});
  return name.starts_with("head.") ? "Dense_0." + name.substr(5) : name;
}

// With a loss on y alone, and on x too.
TEST(IclLinearModelsParity, HiddenStatesPredictionsAndErrors) {
  const at::NoGradGuard guard;
  const auto theirs = parity_fixture("icl_linear_models");
  for (const std::string variant : {"y.", "x."}) {
    auto json = Json::parse(kModel);
    json["model"]["head"]["outputs"] = variant == "x." ? 4 : 1;
    auto model = build_model(Spec::from_json(json, "test"));
    fill(*model, [&](const std::string& name) {
      const auto& value = theirs.at(variant + their_name(name));
      if (!name.ends_with(".weight") || value.dim() < 2 || name == "position.weight") return value;
      // Theirs are [in, out], attention's with the dimension of heads apart.
      const bool out = name.find(".out.") != std::string::npos;
      const auto matrix = value.dim() == 3 ? (out ? value.flatten(0, 1) : value.flatten(1)) : value;
      return matrix.t().contiguous();
    });
    const auto& tokens = theirs.at("tokens");
    std::vector<Tensor> hidden;
    auto board = model->make_board();
    for (const char* tap : {"embed.out_stream", "layers.*.channel.stream"})
      board.read(tap, [&](const TapEvent&, const Tensor& x) { hidden.push_back(x); });
    auto ctx = model->make_context(&board);
    const auto predictions =
        model->forward(ctx, {{"input_features", tokens.narrow(1, 0, 9)}}).at("predictions");
    ASSERT_GT(predictions.abs().max().item<double>(), 1);
    expect_parity(variant + "hidden", at::stack(hidden), theirs.at(variant + "hidden"), 2e-5);
    expect_parity(variant + "predictions", predictions, theirs.at(variant + "predictions"), 2e-5);

    // The task's squared errors on the same tokens, at each x, or at each token.
    PartSpec spec("linear_regression");
    spec.options = {{"d", 3}, {"n_max", 5}, {"predict_x", variant == "x."}};
    const auto task = Registry<Task>::make(spec);
    Batch batch{{}, tokens.narrow(1, 1, 9).narrow(2, 0, predictions.size(2)).clone()};
    if (variant == "y.") batch.targets.slice(1, 1, std::nullopt, 2).fill_(std::nanf(""));
    const auto& errors = theirs.at(variant + "errors");
    const auto sum = task->objective({{"predictions", predictions}}, batch, 1);
    expect_parity(variant + "errors", sum, errors.sum(), 1e-5 * errors.sum().item<double>());
    EXPECT_EQ(batch.target_count(), errors.numel());
  }
}

}  // namespace
}  // namespace formwork
