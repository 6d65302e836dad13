#include <gtest/gtest.h>

#include "formwork/core/file.h"
#include "formwork/tasks/task.h"
#include "formwork/transforms/adapt/hidden_transfer.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

class DraftText : public testing::Test {
 protected:
  DraftText() {
    std::string text;
    for (int i = 0; i < 500; ++i) text += fmt::format("{} ", i * 37 % 101);
    write_atomically(folder_ / "text.txt", text);
    options_ = {{"file", (folder_ / "text.txt").string()}, {"length", 12}};
    const auto spec =
        Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 256, "width": 16,
          "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2, "position": "rotary"},
                                               "channel": "mlp"}]}}})"),
                        "test");
    model_ =
        Registry<Transform>::make({"hidden_transfer", {{"k", 2}}})->apply(build_model(spec, 3), {}).model;
  }
  std::unique_ptr<Task> task(Json more) const {
    more.update(options_);
    auto made = Registry<Task>::make({"draft_text", more});
    Json meta = Json::object();
    made->prepare(meta);
    return made;
  }

  const TemporaryFolder folder_;
  Json options_;
  std::shared_ptr<Model> model_;
};

// sum over anchors and drafts of 2 w_i / (w_1 + w_2) KL(p_{n+i+1} || p~_{n+i+1}), by its definition.
TEST_F(DraftText, ObjectiveIsTheDivergenceFromTheModelItself) {
  const at::NoGradGuard guard;
  const auto made = task({{"k", 2}, {"decay", 0.5}});
  const auto batch = made->training_batch(3, 1, 4);
  const auto& anchors = batch.inputs.at("anchors");
  ASSERT_EQ(anchors.sizes(), at::IntArrayRef({3, 3}));
  auto ctx = model_->make_context();
  const auto out = model_->forward(ctx, batch.inputs);
  const auto log_p = out.at("logits").log_softmax(-1);
  double expected = 0;
  for (int64_t b = 0; b < 3; ++b)
    for (int64_t a = 0; a < 3; ++a)
      for (int64_t i = 1; i <= 2; ++i) {
        const auto n = anchors[b][a].item<int64_t>();
        const auto truth = log_p[b][n + i], draft = log_p[b][12 + (i - 1) * 3 + a];
        expected += 2 * (i == 1 ? 1 : 0.5) / 1.5 * (truth.exp() * (truth - draft)).sum().item<double>();
        if (n + i + 1 < 12)
          EXPECT_EQ(batch.targets[b][a][i - 1].item<int64_t>(),
                    batch.inputs.at("input_ids")[b][n + i + 1].item<int64_t>());
      }
  EXPECT_NEAR(made->objective(out, batch, 1).item<double>(), expected, 1e-4);
}

TEST_F(DraftText, MapsTrainAtOnceOrOneAfterTheOtherAndTheModelStays) {
  TrainOptions options;
  options.steps = 6, options.batch = 4, options.rate = 3e-3, options.quiet = true;
  for (const char* order : {"joint", "sequential"}) {
    const auto made = train_transfers(model_, options_, options, order);
    EXPECT_TRUE(std::isfinite(made.evaluation.value("cross_entropy_2"))) << order;
    for (const auto& param : made.model->inventory().params) {
      const bool same = param.value.equal(model_->inventory().by_name.at(param.name)->value);
      EXPECT_EQ(same, param.name.find("stream.attached.") == std::string::npos) << order << " " << param.name;
    }
  }
}

}  // namespace
}  // namespace formwork
