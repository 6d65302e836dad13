#include <gtest/gtest.h>

#include "formwork/models/model.h"

namespace formwork {
namespace {

Spec decoder() {
  return Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 11, "width": 8,
    "layers": [{"mixer": {"type": "attention", "heads": 2}, "channel": "mlp"}]}})"),
                         "test");
}

TEST(Adapter, BeginsAsTheIdentityTrainsAndStaysInTheSpec) {
  auto spec = decoder();
  auto plain = build_model(spec, 1, at::kDouble);

  spec.attach = {{"layers.0.mixer.out", {{"type", "adapter"}, {"width", 3}}},
                 {"layers.0.channel.norm.out", {{"type", "adapter"}, {"width", 2}}}};
  auto model = build_model(Spec::from_json(spec.to_json(), "again"), 1, at::kDouble);
  const auto ids = at::randint(11, {2, 5}, at::kLong);
  auto ctx = plain->make_context();
  const auto before = plain->forward(ctx, {{"input_ids", ids}}).at("logits");
  auto with = model->make_context();
  const auto after = model->forward(with, {{"input_ids", ids}}).at("logits");
  EXPECT_EQ((before - after).abs().max().item<double>(), 0);

  auto& params = model->inventory().by_name;
  auto& up = params.at("layers.0.mixer.out.attached.up.weight")->value;
  EXPECT_EQ(up.sizes(), at::IntArrayRef({8, 3}));
  const auto gradient = torch::autograd::grad({after.square().sum()}, {up})[0];
  EXPECT_GT(gradient.abs().max().item<double>(), 0);
  {
    const at::NoGradGuard guard;
    up.sub_(gradient / gradient.norm());
  }
  auto again = model->make_context();
  EXPECT_GT((model->forward(again, {{"input_ids", ids}}).at("logits") - before).abs().max().item<double>(),
            1e-9);
}

TEST(Adapter, ActsOncePerTap) {
  auto spec = decoder();
  spec.attach = {{"layers.0.mixer.norm.out", {{"type", "adapter"}, {"width", 2}}}};
  auto model = build_model(spec, 1, at::kDouble);
  auto board = model->make_board();
  int64_t visits = 0;
  board.read("layers.0.mixer.norm.out.attached.down.in", [&](const TapEvent&, const Tensor&) { ++visits; });
  auto ctx = model->make_context(&board);
  model->forward(ctx, {{"input_ids", at::zeros({1, 2}, at::kLong)}});
  EXPECT_EQ(visits, 1);
}

}  // namespace
}  // namespace formwork
