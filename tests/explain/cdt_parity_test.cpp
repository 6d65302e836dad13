// The same weights give the same splits as the published code of CD-T, with its rules for biases.
#include "formwork/core/facet.h"
#include "formwork/explain/circuits/node_scores.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

constexpr const char* kAttention =
    R"({"type": "attention", "heads": 4, "fused": false, "bias": true, "out_bias": true})";

std::shared_ptr<Model> with_their_weights(const TensorMap& theirs, const std::string& prefix,
                                          const std::string& model) {
  auto built =
      build_model(Spec::from_json(Json::parse(R"({"formwork": 1, "model": )" + model + "}"), "test"));
  fill(*built, [&](const std::string& name) {
    const auto found = theirs.find(prefix + name);
    return found == theirs.end() ? at::zeros_like(built->inventory().by_name.at(name)->value) : found->second;
  });
  return built;
}

std::shared_ptr<Model> gpt(const TensorMap& theirs) {
  return with_their_weights(theirs, "gpt.",
                            fmt::format(R"({{"type": "decoder", "vocab": 23, "width": 16, "tie": false,
      "position": {{"type": "learned", "context": 12}}, "norm": {{"type": "layer_norm", "eps": 1e-8}},
      "head": {{"type": "lm", "bias": true}}, "layers": {{"repeat": 3, "pattern": [
        {{"norm": {{"type": "layer_norm", "eps": 1e-8}}, "mixer": {},
          "channel": {{"type": "mlp", "hidden": 32, "activation": "gelu_tanh"}}}}]}}}})",
                                        kAttention));
}

std::vector<Node> nodes_of(const Tensor& table) {
  std::vector<Node> nodes;
  for (int64_t i = 0; i < table.size(0); ++i)
    nodes.push_back({table[i][0].item<int64_t>(), table[i][1].item<int64_t>(), table[i][2].item<int64_t>()});
  return nodes;
}

// Their share of the size at each target: [N, M] of relevant and rest [N, M, d].
Tensor size_share(const Tensor& relevant, const Tensor& rest) {
  const auto r = relevant.abs().mean(-1), s = rest.abs().mean(-1);
  return r / (r + s);
}

TEST(CdtParity, HeadsOfGptAgainstLogitsAndTargets) {
  const at::NoGradGuard guard;
  const auto theirs = parity_fixture("contextual_decomposition");
  const auto model = gpt(theirs);
  const auto sites = head_sites(*model);
  ASSERT_EQ(sites.size(), 3u);
  const auto prompts = record_heads(*model, sites, {{"input_ids", theirs.at("gpt.ids")}});
  std::vector<HeadActivations> means(3);
  for (int64_t layer = 0; layer < 3; ++layer)
    means[static_cast<size_t>(layer)].result = theirs.at("gpt.means")[layer].unflatten(-1, {4, 4});
  const auto sources = nodes_of(theirs.at("gpt.sources")), targets = nodes_of(theirs.at("gpt.targets"));
  for (const std::string inject : {"mean", "zero"}) {
    const auto their = [&](const std::string& name) { return theirs.at("gpt." + inject + "." + name); };
    NodeScores scores(*model, sites, prompts, means, {"split", "published", "remainder", "mlp"}, {inject, 2});
    const auto logits = scores.logits(sources);
    ASSERT_GT(their("relevant").abs().max().item<double>(), 0.5);
    expect_parity(inject + " relevant logits", logits.relevant.squeeze(1), their("relevant").select(1, -1),
                  1e-4);
    expect_parity(inject + " rest of logits", logits.rest.squeeze(1), their("rest").select(1, -1), 1e-4);
    for (const auto& [place, name] : {std::pair("z", "residual"), std::pair("query", "query"),
                                      std::pair("key", "key"), std::pair("value", "value")}) {
      auto relevant = their(std::string(name) + ".relevant"), rest = their(std::string(name) + ".rest");
      auto expected = size_share(relevant, rest);
      // A source cannot be its own target's: theirs leaves these out.
      EXPECT_GT(expected.max().item<double>(), 0.01);
      expect_parity(inject + " share of " + place, scores.at_targets(sources, targets, {place, "own", "l1"}),
                    expected, 1e-4);
    }
    const auto relevant = their("residual.relevant"), whole = relevant + their("residual.rest");
    std::vector<Tensor> at_targets;
    for (const auto& target : targets)
      at_targets.push_back(means[static_cast<size_t>(target.layer)].result[target.position][target.head]);
    const auto dots = (relevant * (whole - at::stack(at_targets))).sum(-1);
    expect_parity(inject + " product at z", scores.at_targets(sources, targets, {"z", "own", "dot"}), dots,
                  1e-4);
  }
}

TEST(CdtParity, TokensOfAnEncoderLikeBert) {
  const at::NoGradGuard guard;
  const auto theirs = parity_fixture("contextual_decomposition");
  const auto model = with_their_weights(theirs, "bert.",
                                        fmt::format(R"({{"type": "encoder", "vocab": 23, "width": 16,
      "norm": null, "layers": {{"repeat": 3, "pattern": [{{"type": "post", "norm": {{"type": "layer_norm", "eps": 1e-12}},
        "mixer": {}, "channel": {{"type": "mlp", "hidden": 32}}}}]}}}})",
                                                    kAttention));
  auto ctx = model->make_context();
  SplitPass pass(ctx, model->inventory(), {"frozen", "published", "remainder", "all"});
  const auto x = theirs.at("bert.x"), marks = theirs.at("bert.marks").unsqueeze(-1).to(at::kFloat);
  const auto y =
      require_facet<SplitModelFacet>(*model, "model").carry(pass, 0, 6, {x * marks, x * (1 - marks)});
  ASSERT_GT(theirs.at("bert.relevant").abs().max().item<double>(), 1);
  expect_parity("relevant", y.relevant, theirs.at("bert.relevant"), 1e-4);
  expect_parity("rest", y.rest, theirs.at("bert.rest"), 1e-4);
}

}  // namespace
}  // namespace formwork
