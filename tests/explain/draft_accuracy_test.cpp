#include <gtest/gtest.h>

#include "formwork/core/random.h"
#include "formwork/explain/probe.h"

namespace formwork {
namespace {

// Without layers behind the maps and with W_1 = I, draft 1 says at n what the model says at n.
TEST(DraftAccuracy, CountsTheCandidatesThatAreRight) {
  const auto spec =
      Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 7, "width": 16,
        "layers": [{"mixer": {"type": "attention", "heads": 2, "position": "rotary"}, "channel": "mlp"}]},
        "attach": {"layers.0.channel.stream": {"type": "transfer", "count": 2}}})"),
                      "test");
  const auto model = build_model(spec, 2);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params)
    if (param.value.dim() == 2 && param.name.find("attached") == std::string::npos) param.value.mul_(8);
  auto stream = make_stream(1, "ids");
  const auto ids = at::randint(0, 7, {3, 10}, stream, at::kLong);
  auto mask = at::ones({3, 10}, at::kLong);
  mask[1].narrow(0, 6, 4).zero_();
  const auto report = Registry<Probe>::make({"draft_accuracy", {{"candidates", 3}, {"nodes", 5}}})
                          ->run(*model, {{{"input_ids", ids}, {"attention_mask", mask}}});
  auto ctx = model->make_context();
  const auto logits = model->forward(ctx, {{"input_ids", ids}}).at("logits");
  double right[2][3] = {}, all[2] = {};
  for (int64_t i = 1; i <= 2; ++i)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t n = 0; n < 8 && n + i < (b == 1 ? 6 : 10); ++n) {
        const auto order = logits[b][n].argsort(0, true);
        const auto truth = logits[b][n + i].argmax().item<int64_t>();
        for (int64_t c = 0; c < 3; ++c) right[i - 1][c] += order[c].item<int64_t>() == truth;
        all[i - 1] += 1;
      }
  for (size_t i = 0; i < 2; ++i) {
    const auto& draft = report.at("drafts").at(i);
    EXPECT_EQ(draft.at("tokens").get<double>(), all[i]);
    for (size_t c = 0; c < 3; ++c)
      EXPECT_NEAR(draft.at("shares").at(c).get<double>(), right[i][c] / all[i], 1e-12);
  }
  EXPECT_EQ(report.at("tree").size(), 5u);
  EXPECT_GE(report.at("expected tokens a pass").get<double>(), 1);
}

}  // namespace
}  // namespace formwork
