// The same weights give the same numbers as the code of ModuleFormer's authors (IBM/ModuleFormer): the
// stick-breaking score, the routers with their balancing losses, and a model of two blocks.
#include "formwork/channels/router.h"
#include "formwork/mixers/attention/stick_breaking_fused.h"
#include "formwork/scores/score.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

// q [B, T, k, H, d] -> [B, H k, T, d], the k queries of a token beside each other under each key head.
Tensor by_head(const Tensor& x) { return x.permute({0, 3, 2, 1, 4}).flatten(1, 2); }

TEST(ModuleFormerParity, StickBreakingAttention) {
  const auto theirs = parity_fixture("moduleformer");
  const auto q = by_head(theirs.at("score.q"));
  const auto k = theirs.at("score.k").transpose(1, 2), v = theirs.at("score.v").transpose(1, 2);
  const double scale = 1 / std::sqrt(8.0);
  const auto y = by_head(theirs.at("score.y"));
  expect_parity("values", stick_breaking_fused(q, k, v, scale, 4, {}), y, 1e-5);

  Inventory inventory;
  Build build(inventory, "score", {}, {});
  Context ctx;
  const auto logits = q.matmul(k.repeat_interleave(2, 1).transpose(-1, -2)) * scale;
  const auto weights = Registry<Score>::make(build, "stick_breaking")
                           ->weights(ctx, logits, at::ones({5, 9}, at::kBool).tril(4));
  // Theirs [B, k, H, T, Tk].
  expect_parity("weights", weights, theirs.at("score.weights").transpose(1, 2).flatten(1, 2), 1e-5);
}

TEST(ModuleFormerParity, RoutersAndTheirLosses) {
  const auto theirs = parity_fixture("moduleformer");
  const std::map<std::string, std::map<std::string, std::string>> names = {
      {"mlp",
       {{"router_inner.weight", "w_gate.0.weight"},
        {"router_inner.bias", "w_gate.0.bias"},
        {"router.weight", "w_gate.3.weight"}}},
      {"linear", {{"router.weight", "w_gate.0.weight"}}},
      {"gmm",
       {{"router_inner.weight", "w_gate.weight"},
        {"router.weight", "expert_centroids"},
        {"router_temperature", "temperature"}}}};
  for (const auto& [gate, parameters] : names)
    for (const std::string loss : {"mi", "switch"}) {
      RouterOptions options;
      options.gate = gate, options.hidden = 10, options.renormalize = false;
      options.balance_loss = loss, options.balance = 1, options.z = loss == "switch" ? 0.1 : 0;
      Inventory inventory;
      Build root(inventory, "", {}, {});
      root.in = root.out = root.global_axis("residual", 16);
      Router router(root, root.axis("modules", 6, Group::permute), options, "modules_active");
      ASSERT_EQ(inventory.params.size(), parameters.size()) << gate;
      const std::string prefix = "gate." + gate + ".";
      const at::NoGradGuard guard;
      for (auto& param : inventory.params) param.value.copy_(theirs.at(prefix + parameters.at(param.name)));
      Context ctx;
      ctx.mode.train = true;
      const auto choice = router.choose(ctx, theirs.at("gate.x"), {});
      EXPECT_TRUE(at::equal(choice.modules, theirs.at(prefix + "chosen"))) << gate;
      expect_parity(prefix + "gates", choice.gates, theirs.at(prefix + "gates"), 1e-5);
      Tensor total = at::zeros({1});
      for (const auto& [name, term] : ctx.auxiliary) total = total + term;
      expect_parity(prefix + loss, total, theirs.at(prefix + loss), 1e-5);
    }
}

constexpr const char* kModel = R"({"formwork": 1, "model": {"type": "decoder", "vocab": 24, "width": 16,
    "norm": "layer_norm", "tie": false, "layers": {"repeat": 2, "pattern": [{"norm": "layer_norm",
      "mixer": {"type": "stick_breaking", "modules": 5, "active": 2, "heads": 3, "head_width": 8,
                "router_hidden": 10, "balance": 1},
      "channel": {"type": "experts", "experts": 6, "active": 2, "hidden": 20, "gated": false, "gate": "mlp",
                  "router_hidden": 10, "renormalize": false, "activation": "gelu_tanh", "balance_loss": "mi",
                  "balance": 1, "z": 0}}]}}})";

std::string moduleformer_name(const std::string& ours) {
  return "model." + renamed(ours, {{".mixer.norm.", ".ln_1."},
                                   {".channel.norm.", ".ln_2."},
                                   {".mixer.router_inner.", ".attn.q_proj.gate.w_gate.0."},
                                   {".mixer.router.", ".attn.q_proj.gate.w_gate.3."},
                                   {".mixer.query.", ".attn.q_proj.experts."},
                                   {".mixer.out.", ".attn.q_proj.output_experts."},
                                   {".mixer.key.", ".attn.k_proj."},
                                   {".mixer.value.", ".attn.v_proj."},
                                   {".channel.router_inner.", ".mlpf.gate.w_gate.0."},
                                   {".channel.router.", ".mlpf.gate.w_gate.3."},
                                   {".channel.up.", ".mlpf.experts."},
                                   {".channel.down.", ".mlpf.output_experts."}});
}

TEST(ModuleFormerParity, LogitsAndLossesOfAModel) {
  const at::NoGradGuard guard;
  const auto theirs = parity_fixture("moduleformer");
  auto model = build_model(Spec::from_json(Json::parse(kModel), "test"));
  fill(*model, [&](const std::string& name) {
    const auto& value = theirs.at(moduleformer_name(name));
    return value.dim() == 3 ? value.transpose(1, 2).contiguous() : value;  // theirs are [n, in, out]
  });
  const Record in = {{"input_ids", theirs.at("model.ids")}};
  auto ctx = model->make_context();
  const auto logits = model->forward(ctx, in).at("logits");
  ASSERT_GT(theirs.at("model.logits").abs().max().item<double>(), 1);
  expect_parity("logits", logits, theirs.at("model.logits"), 1e-5);

  auto training = model->make_context();
  training.mode.train = true;
  model->forward(training, in);
  ASSERT_EQ(training.auxiliary.size(), 4u);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto sum = training.auxiliary[2 * layer].second + training.auxiliary[2 * layer + 1].second;
    expect_parity(fmt::format("losses of layer {}", layer), sum, theirs.at("model.losses")[layer], 1e-5);
  }
}

}  // namespace
}  // namespace formwork
