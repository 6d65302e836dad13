#include <gtest/gtest.h>

#include "formwork/models/model.h"

namespace formwork {
namespace {

Spec small_decoder() {
  const Json json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 17, "width": 16,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 4, "kv_heads": 2},
                                         "channel": {"type": "gated_mlp", "hidden": 24}}]},
    "position": "learned"}})");
  return Spec::from_json(json, "test");
}

TEST(Decoder, AppendsEqualForward) {
  auto model = build_model(small_decoder(), 1, at::kDouble);
  const at::NoGradGuard guard;
  auto ctx = model->make_context();
  const auto ids = at::randint(17, {3, 9}, at::kLong);
  const auto full = model->forward(ctx, {{"input_ids", ids}})["logits"];
  StateOptions options;
  options.batch = 3, options.dtype = at::kDouble;
  auto state = model->make_state(ctx, {}, options);
  const auto first = model->append(ctx, {{"input_ids", ids.narrow(1, 0, 4)}}, state)["logits"];
  EXPECT_LT((first - full.narrow(1, 0, 4)).abs().max().item<double>(), 1e-12);
  for (int64_t t = 4; t < 9; ++t) {
    const auto step = model->append(ctx, {{"input_ids", ids.narrow(1, t, 1)}}, state)["logits"];
    EXPECT_LT((step - full.narrow(1, t, 1)).abs().max().item<double>(), 1e-12);
  }
}

TEST(Decoder, LeftPaddingAndGapsDoNotMatter) {
  auto model = build_model(small_decoder(), 1, at::kDouble);
  const at::NoGradGuard guard;
  auto ctx = model->make_context();
  const auto ids = at::randint(17, {1, 5}, at::kLong);
  const auto alone = model->forward(ctx, {{"input_ids", ids}})["logits"];
  const auto mask = at::tensor({0, 1, 1, 0, 1, 1, 0, 1}, at::kLong);
  auto padded = at::zeros({2, 8}, at::kLong);
  padded[0].index_put_({mask.nonzero().squeeze(1)}, ids[0]);
  const auto both = at::stack({mask, at::ones({8}, at::kLong)});
  const auto logits = model->forward(ctx, {{"input_ids", padded}, {"attention_mask", both}})["logits"];
  EXPECT_LT((logits[0].index_select(0, mask.nonzero().squeeze(1)) - alone[0]).abs().max().item<double>(),
            1e-12);
}

TEST(Decoder, NamesTheNearestOption) {
  auto spec = small_decoder();
  spec.model.options["widht"] = 3;
  try {
    build_model(spec);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'width'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace formwork
