#include <gtest/gtest.h>

#include "formwork/models/model.h"

namespace formwork {
namespace {

Spec bert(const std::string& head, const std::string& more = "") {
  const auto text = R"({"formwork": 1, "model": {"type": "encoder", "vocab": 19, "width": 16, "segments": 2,
    "position": {"type": "learned", "context": 16}, "stem_norm": "layer_norm", "norm": null,
    "layers": {"repeat": 2, "pattern": [{"type": "post", "norm": "layer_norm",
      "mixer": {"type": "attention", "heads": 4, "bias": true, "out_bias": true}, "channel": "mlp"}]},
    "head": )" + head +
                    more + "}}";
  return Spec::from_json(Json::parse(text), "test");
}

double encoder_gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

Tensor run(Model& model, const Record& in, const std::string& field) {
  auto ctx = model.make_context();
  return model.forward(ctx, in).at(field);
}

TEST(Encoder, EveryTokenSeesEveryOther) {
  auto model = build_model(bert(R"("hidden")"), 1, at::kDouble);
  const at::NoGradGuard guard;
  const auto ids = at::randint(19, {1, 6}, at::kLong);
  auto other = ids.clone();
  other[0][5] = (other[0][5] + 1).remainder(19);
  const auto a = run(*model, {{"input_ids", ids}}, "last_hidden_state");
  const auto b = run(*model, {{"input_ids", other}}, "last_hidden_state");
  EXPECT_GT((a - b).abs().amax(-1).min().item<double>(), 1e-9);
}

TEST(Encoder, PaddingAndPackingDoNotMatter) {
  for (const char* head : {R"("hidden")", R"({"type": "embedder", "pool": "mean"})",
                           R"({"type": "embedder", "pool": "last"})", R"({"type": "classifier"})"}) {
    auto model = build_model(bert(head), 1, at::kDouble);
    const at::NoGradGuard guard;
    const auto ids = at::randint(19, {1, 5}, at::kLong), next = at::randint(19, {1, 3}, at::kLong);
    const auto types = at::tensor({0, 0, 1, 1, 1}, at::kLong).unsqueeze(0);
    auto ctx = model->make_context();
    const auto alone = model->forward(ctx, {{"input_ids", ids}, {"token_type_ids", types}});
    const auto second = model->forward(ctx, {{"input_ids", next}});
    const auto mask = at::tensor({0, 1, 1, 0, 1, 1, 0, 1}, at::kLong).unsqueeze(0);
    const auto places = mask[0].nonzero().squeeze(1);
    auto padded = at::zeros({1, 8}, at::kLong), padded_types = at::zeros({1, 8}, at::kLong);
    padded[0].index_put_({places}, ids[0]);
    padded_types[0].index_put_({places}, types[0]);
    const auto gaps = model->forward(
        ctx, {{"input_ids", padded}, {"attention_mask", mask}, {"token_type_ids", padded_types}});
    const auto packed = model->forward(ctx, {{"input_ids", at::cat({ids, next}, 1)},
                                             {"token_type_ids", at::cat({types, at::zeros_like(next)}, 1)},
                                             {"offsets", at::tensor({0, 5, 8}, at::kLong)}});
    for (const auto& [name, value] : alone) {
      const bool per_token = value.dim() == 3;
      EXPECT_LT(encoder_gap(per_token ? gaps.at(name).index_select(1, places) : gaps.at(name), value), 1e-12)
          << head;
      const auto both = per_token ? at::cat({value, second.at(name)}, 1) : at::cat({value, second.at(name)});
      EXPECT_LT(encoder_gap(packed.at(name), both), 1e-12) << head;
    }
  }
}

TEST(Encoder, TokenTypesAddTheirVectors) {
  auto model = build_model(bert(R"("hidden")"), 1, at::kDouble);
  const at::NoGradGuard guard;
  const auto ids = at::randint(19, {1, 4}, at::kLong);
  const auto zero = run(*model, {{"input_ids", ids}}, "last_hidden_state");
  const auto types = at::ones({1, 4}, at::kLong);
  const auto one = run(*model, {{"input_ids", ids}, {"token_type_ids", types}}, "last_hidden_state");
  EXPECT_GT(encoder_gap(zero, one), 1e-6);
  auto& table = model->inventory().by_name.at("embed.segments")->value;
  table[1].copy_(table[0]);
  EXPECT_LT(
      encoder_gap(run(*model, {{"input_ids", ids}, {"token_type_ids", types}}, "last_hidden_state"), zero),
      1e-12);
}

TEST(Encoder, MaskedLmHeadIsItsFormula) {
  auto model = build_model(bert(R"("masked_lm")"), 3, at::kDouble);
  const at::NoGradGuard guard;
  auto& by_name = model->inventory().by_name;
  by_name.at("head.bias")->value.normal_();
  const auto ids = at::randint(19, {2, 4}, at::kLong);
  Tensor last;
  auto board = model->make_board();
  board.read("head.transform.out", [&](const TapEvent&, const Tensor& x) { last = x; });
  auto ctx = model->make_context(&board);
  const auto logits = model->forward(ctx, {{"input_ids", ids}}).at("logits");
  const auto hidden = at::layer_norm(at::gelu(last), {16}, by_name.at("head.norm.weight")->value,
                                     by_name.at("head.norm.bias")->value);
  const auto expected = hidden.matmul(by_name.at("embed.weight")->value.t()) + by_name.at("head.bias")->value;
  EXPECT_LT(encoder_gap(logits, expected), 1e-12);
  EXPECT_EQ(by_name.count("head.weight"), 0u);

  auto free = build_model(bert(R"("masked_lm")", R"(, "tie": false)"), 3, at::kDouble);
  EXPECT_EQ(free->inventory().by_name.at("head.weight")->value.sizes(), at::IntArrayRef({19, 16}));
  EXPECT_EQ(run(*free, {{"input_ids", ids}}, "logits").size(-1), 19);
}

TEST(Encoder, CannotBeDecodedStepByStep) {
  auto model = build_model(bert(R"("hidden")"));
  auto ctx = model->make_context();
  EXPECT_THROW(model->make_state(ctx, {}, {}), Error);
}

}  // namespace
}  // namespace formwork
