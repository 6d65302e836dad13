// Activation checkpointing changes memory and nothing else.
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include "formwork/core/autocast.h"
#include "formwork/models/model.h"

namespace formwork {
namespace {

constexpr int64_t kVocab = 11;

std::shared_ptr<Model> decoder(const std::string& layers, at::ScalarType dtype = at::kDouble) {
  auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 11, "width": 16,
                              "dropout": 0.1, "position": "learned"}})");
  json["model"]["layers"] = Json::parse(layers);
  return build_model(Spec::from_json(json, "test"), 5, dtype);
}

Tensor ids() { return at::arange(24, at::kLong).view({3, 8}) * 7 % kVocab; }

struct Pass {
  std::vector<Tensor> losses;     // the model's, then the auxiliary ones
  std::vector<Tensor> gradients;  // of every trainable parameter; undefined where there is none
};

using Change = std::function<void(Context&)>;

Pass run_pass(Model& model, const Record& in, bool checkpoint, const Change& change = {},
              TapBoard* board = nullptr) {
  auto ctx = model.make_context(board);
  ctx.mode.train = true, ctx.mode.checkpoint = checkpoint, ctx.seed = 3;
  if (change) change(ctx);
  const auto logits = model.forward(ctx, in).at("logits");
  Pass pass;
  pass.losses.push_back(logits.to(at::kDouble).log_softmax(-1).select(-1, 2).square().sum());
  for (const auto& [name, loss] : ctx.auxiliary) pass.losses.push_back(loss);
  auto total = pass.losses[0];
  for (size_t i = 1; i < pass.losses.size(); ++i) total = total + pass.losses[i];
  pass.gradients = torch::autograd::grad({total}, model.trainable(), {}, std::nullopt, false, true);
  return pass;
}

void expect_same(Model& model, const Pass& plain, const Pass& recomputed, double tolerance = 0) {
  ASSERT_EQ(plain.losses.size(), recomputed.losses.size());
  for (size_t i = 0; i < plain.losses.size(); ++i)
    EXPECT_TRUE(at::equal(plain.losses[i], recomputed.losses[i])) << "loss " << i;
  const auto trainable = model.trainable();
  for (size_t i = 0; i < trainable.size(); ++i) {
    const auto &a = plain.gradients[i], &b = recomputed.gradients[i];
    ASSERT_EQ(a.defined(), b.defined()) << "parameter " << i;
    if (!a.defined()) continue;
    EXPECT_GT(trainable[i].numel(), 0);
    EXPECT_LE((a - b).abs().max().item<double>(), tolerance) << "parameter " << i;
  }
}

void expect_same(const std::string& layers, size_t losses = 1, const Change& change = {}) {
  auto model = decoder(layers);
  const Record in = {{"input_ids", ids()}};
  const auto plain = run_pass(*model, in, false, change), recomputed = run_pass(*model, in, true, change);
  EXPECT_EQ(plain.losses.size(), losses);
  expect_same(*model, plain, recomputed);
}

const char* const kDropout = R"({"repeat": 3, "pattern": [{"dropout": 0.3, "drop_path": 0.2,
    "mixer": {"type": "attention", "heads": 2, "dropout": 0.2}, "channel": {"type": "gated_mlp", "hidden": 12}}]})";

TEST(Checkpoint, GradientsAreEqualBitForBitWithDropoutAndStochasticDepth) { expect_same(kDropout); }

TEST(Checkpoint, GradientsOfExpertsAuxiliaryLossesAreEqual) {
  // Two losses, balance and z, from each of two layers.
  expect_same(R"({"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2},
      "channel": {"type": "experts", "experts": 4, "hidden": 8, "capacity": 1.2, "jitter": 0.1,
                  "balance": 0.5, "z": 0.1, "dropout": 0.1}}]})",
              5);
}

TEST(Checkpoint, GradientsOfSharedLayersAreEqual) {
  const std::string looped = R"([{"type": "looped", "times": 3, "layers": [{"type": "pre", "dropout": 0.2,
      "mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 12}}]}])";
  expect_same(looped);
  expect_same(looped, 1, [](Context& ctx) { ctx.choices["loops"] = 2; });
}

TEST(Checkpoint, LearnsWithAttachedPartsAndFrozenOnes) {
  auto json = decoder(kDropout)->spec().to_json();
  json["attach"] = {{"layers.*.mixer.out", {{"type", "adapter"}, {"width", 3}}}};
  auto model = build_model(Spec::from_json(json, "test"), 5, at::kDouble);
  for (auto& param : model->inventory().params) {
    const at::NoGradGuard guard;
    param.value.add_(at::full_like(param.value, 0.01));
    // The stem too, so that the first segment's input has no gradient.
    if (param.name.find("attached") == std::string::npos) param.value.set_requires_grad(false);
    param.rule.frozen = !param.value.requires_grad();
  }
  ASSERT_EQ(model->trainable().size(), 3u * 4);
  const Record in = {{"input_ids", ids()}};
  expect_same(*model, run_pass(*model, in, false), run_pass(*model, in, true));
}

TEST(Checkpoint, TellsListenersOnceAndGivesThemGradients) {
  auto model = decoder(kDropout);
  const auto listen = [&](bool checkpoint) {
    std::vector<std::string> visits;
    Tensor seen;
    auto board = model->make_board();
    board.read("layers.1.*", [&](const TapEvent& event, const Tensor& x) {
      visits.push_back(fmt::format("{}@{}", event.name, event.visit));
      seen = x;
    });
    auto ctx = model->make_context(&board);
    ctx.mode.train = true, ctx.mode.checkpoint = checkpoint;
    const auto loss = model->forward(ctx, {{"input_ids", ids()}}).at("logits").square().sum();
    return std::pair(visits, torch::autograd::grad({loss}, {seen})[0]);
  };
  const auto plain = listen(false), recomputed = listen(true);
  EXPECT_FALSE(plain.first.empty());
  EXPECT_EQ(plain.first, recomputed.first);
  EXPECT_TRUE(at::equal(plain.second, recomputed.second));
}

TEST(Checkpoint, RunningStatisticsHaveEachPassOnce) {
  const auto statistics = [](bool checkpoint) {
    auto model = decoder(
        R"([{"norm": "batch_norm", "mixer": "average_past", "channel": {"type": "mlp", "hidden": 8}}])");
    run_pass(*model, {{"input_ids", ids()}}, checkpoint);
    return model->inventory().by_name.at("layers.0.channel.norm.running_var")->value;
  };
  EXPECT_TRUE(at::equal(statistics(false), statistics(true)));
}

TEST(Checkpoint, PaddedAndPackedRowsAreEqual) {
  auto model = decoder(kDropout);
  auto mask = at::ones({3, 8}, at::kLong);
  mask[1].narrow(0, 0, 3).zero_();
  Record in = {{"input_ids", ids()}, {"attention_mask", mask}};
  expect_same(*model, run_pass(*model, in, false), run_pass(*model, in, true));
  in = {{"input_ids", ids().view({1, 24})}, {"offsets", at::tensor({0, 5, 17, 24}, at::kLong)}};
  expect_same(*model, run_pass(*model, in, false), run_pass(*model, in, true));
}

TEST(Checkpoint, RecomputesUnderTheAutocastOfThePass) {
  auto model = decoder(kDropout, at::kFloat);
  const auto pass = [&](bool checkpoint) {
    Tensor loss;
    {
      const AutocastGuard bf16({at::kCPU, true, at::kBFloat16});
      auto ctx = model->make_context();
      ctx.mode.train = true, ctx.mode.checkpoint = checkpoint;
      loss = model->forward(ctx, {{"input_ids", ids()}}).at("logits").to(at::kFloat).square().sum();
    }
    return Pass{{loss}, torch::autograd::grad({loss}, model->trainable(), {}, std::nullopt, false, true)};
  };
  expect_same(*model, pass(false), pass(true));
}

// Several layers read the memory, and their sums are formed in another order.
TEST(Checkpoint, DecodersReadTheMemoryOfTheEncoder) {
  const auto json =
      Json::parse(R"({"formwork": 1, "model": {"type": "encoder_decoder", "vocab": 11, "width": 16,
    "position": {"type": "learned", "context": 16},
    "encoder_layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2}, "channel": "mlp"}]},
    "decoder_layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2}, "dropout": 0.1,
      "cross": {"type": "attention", "heads": 2, "memory": "memory"}, "channel": "mlp"}]}}})");
  auto model = build_model(Spec::from_json(json, "test"), 5, at::kDouble);
  const Record in = {{"input_ids", ids()}, {"decoder_input_ids", ids().narrow(1, 0, 5)}};
  expect_same(*model, run_pass(*model, in, false), run_pass(*model, in, true), 1e-14);
}

TEST(Checkpoint, RefusesSecondGradientsUnlessThePassWasMadeForThem) {
  auto model = decoder(kDropout);
  const auto second = [&](bool asked) {
    auto ctx = model->make_context();
    ctx.mode.checkpoint = true, ctx.mode.twice_differentiable = asked;
    const auto loss = model->forward(ctx, {{"input_ids", ids()}}).at("logits").square().sum();
    const auto first = torch::autograd::grad({loss}, {model->trainable()[1]}, {}, true, true)[0];
    return torch::autograd::grad({first.square().sum()}, {model->trainable()[1]})[0];
  };
  EXPECT_GT(second(true).abs().max().item<double>(), 0);
  EXPECT_THROW(second(false), std::exception);
}

// Bytes of tensors on the CPU, as its allocator reports them.
class Meter final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    now_ += bytes;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  int64_t now_ = 0, peak_ = 0;
};

TEST(Checkpoint, NeedsLessMemory) {
  const auto peak = [](int64_t layers, bool checkpoint) {
    auto model = decoder(fmt::format(R"({{"repeat": {}, "pattern": [{{
        "mixer": {{"type": "attention", "heads": 2}}, "channel": {{"type": "gated_mlp", "hidden": 64}}}}]}})",
                                     layers),
                         at::kFloat);
    const auto meter = std::make_shared<Meter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    const auto rows = at::zeros({16, 64}, at::kLong);
    run_pass(*model, {{"input_ids", rows}}, checkpoint);
    return static_cast<double>(meter->peak());
  };
  // What one more layer adds: two inputs of segments, 2 * 16 * 64 * 16 floats, instead of all activations.
  const double kept = (peak(10, false) - peak(2, false)) / 8,
               recomputed = (peak(10, true) - peak(2, true)) / 8;
  EXPECT_GT(kept, 4 * recomputed) << kept << " and " << recomputed << " bytes a layer";
  EXPECT_LT(recomputed, 1.5 * 2 * 16 * 64 * 16 * 4);
  EXPECT_LT(peak(10, true), 0.5 * peak(10, false));
}

}  // namespace
}  // namespace formwork
