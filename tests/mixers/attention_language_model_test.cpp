// Attention through a language model: padding, gaps and neighbours do not matter, whatever the positions.
#include "formwork/models/model.h"
#include "mixers/attention_alone.h"

namespace formwork {
namespace {

std::shared_ptr<Model> language_model(const std::string& scheme, at::ScalarType dtype = at::kDouble) {
  const bool embedded = scheme == "sinusoidal" || scheme == "learned";
  Json mixer = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 2}};
  mixer["position"] = embedded ? "none" : scheme;
  const Json json = {
      {"formwork", 1},
      {"model",
       {{"type", "decoder"},
        {"vocab", 23},
        {"width", 16},
        {"position", embedded ? scheme : "none"},
        {"layers", {{"repeat", 2}, {"pattern", {{{"mixer", mixer}, {"channel", "gated_mlp"}}}}}}}}};
  auto model = build_model(Spec::from_json(json, "test"), 5, dtype);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params)
    if (param.trainable() && param.dims.size() == 2) param.value.mul_(8);
  return model;
}

const std::vector<std::string> kSchemes = {"none", "sinusoidal", "learned", "rotary", "alibi", "t5"};

TEST(LanguageModel, RefusesPositionsOfAttentionInItsEmbedding) {
  for (const char* scheme : {"rotary", "alibi", "t5"}) {
    const Json json = {{"formwork", 1},
                       {"model", {{"type", "decoder"}, {"position", scheme}, {"layers", Json::array()}}}};
    EXPECT_THROW(build_model(Spec::from_json(json, "test")), Error);
  }
}

TEST(LanguageModel, LeftPaddingAndGapsDoNotMatter) {
  const at::NoGradGuard guard;
  for (const auto& scheme : kSchemes)
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      auto model = language_model(scheme, dtype);
      auto ctx = model->make_context();
      const auto ids = at::randint(23, {1, 5}, at::kLong);
      const auto alone = model->forward(ctx, {{"input_ids", ids}})["logits"];
      const auto mask = at::tensor({0, 1, 1, 0, 1, 1, 0, 1}, at::kLong);
      const auto real = mask.nonzero().squeeze(1);
      auto padded = at::zeros({2, 8}, at::kLong);
      padded[0].index_put_({real}, ids[0]);
      const auto both = at::stack({mask, at::ones({8}, at::kLong)});
      const auto logits = model->forward(ctx, {{"input_ids", padded}, {"attention_mask", both}})["logits"];
      EXPECT_LT(distance(logits[0].index_select(0, real), alone[0]), dtype == at::kFloat ? 1e-4 : 1e-11)
          << scheme;
    }
}

// prompts [B, T] with a mask -> the next `steps` greedy tokens [B, steps].
Tensor greedy(Model& model, const Tensor& prompts, const Tensor& mask, int64_t steps) {
  auto ctx = model.make_context();
  StateOptions options;
  options.batch = prompts.size(0), options.dtype = model.inventory().dtype;
  auto state = model.make_state(ctx, {}, options);
  auto logits = model.append(ctx, {{"input_ids", prompts}, {"attention_mask", mask}}, state)["logits"];
  const auto last = mask.size(1) - 1 - mask.flip(1).argmax(1);  // place of the last real token
  auto next = logits.gather(1, last.view({-1, 1, 1}).expand({-1, 1, logits.size(2)})).argmax(-1);
  std::vector<Tensor> tokens = {next};
  for (int64_t t = 1; t < steps; ++t) {
    next = model.append(ctx, {{"input_ids", next}}, state)["logits"].argmax(-1);
    tokens.push_back(next);
  }
  return at::cat(tokens, 1);
}

TEST(LanguageModel, GreedyTokensDoNotDependOnNeighbours) {
  const at::NoGradGuard guard;
  for (const auto& scheme : kSchemes)
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      at::manual_seed(6);
      auto model = language_model(scheme, dtype);
      const auto prompts = at::randint(23, {3, 6}, at::kLong);
      const auto mask =
          at::tensor({1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, at::kLong).view({3, 6});
      const auto together = greedy(*model, prompts, mask, 12);
      for (int64_t b = 0; b < 3; ++b) {
        const auto real = prompts[b].index_select(0, mask[b].nonzero().squeeze(1)).unsqueeze(0);
        const auto alone = greedy(*model, real, at::ones_like(real), 12);
        EXPECT_TRUE(at::equal(alone[0], together[b])) << scheme << " row " << b << alone << together[b];
      }
    }
}

}  // namespace
}  // namespace formwork
