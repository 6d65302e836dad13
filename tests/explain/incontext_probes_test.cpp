// Models as predictors, and what is read off their hidden states.
#include <gtest/gtest.h>

#include "formwork/explain/incontext/behaviour.h"
#include "formwork/explain/incontext/readout.h"
#include "formwork/explain/probe.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Examples draw(int64_t d, int64_t n, int64_t rows) {
  LinearProblems problems;
  problems.d = d, problems.n_max = n;
  return draw_examples(problems, 3, 0, rows);
}

Tensor tokens_of(const Examples& examples) {
  return interleave({examples.x, examples.y.narrow(1, 0, examples.x.size(1) - 1), {}});
}

std::shared_ptr<Model> decoder(const Json& mixer, at::ScalarType dtype = at::kDouble) {
  Spec spec;
  spec.model = PartSpec("decoder");
  spec.model.options = {{"width", 8},
                        {"stem", {{"type", "linear"}, {"features", 4}}},
                        {"head", "regression"},
                        {"position", {{"type", "learned"}, {"context", 12}}},
                        {"layers", {{"repeat", 2}, {"pattern", {{{"mixer", mixer}, {"channel", "mlp"}}}}}}};
  return build_model(spec, 1, dtype);
}

// By state and fork or by whole rows, for attention and for a state space.
TEST(PredictorOf, AsksTheModelAfterTheKnownExamples) {
  const at::NoGradGuard guard;
  for (const char* mixer : {"attention", "mamba"}) {
    auto model = decoder(mixer);
    const auto examples = draw(3, 5, 2);
    auto ctx = model->make_context();
    const auto all =
        model->forward(ctx, {{"input_features", tokens_of(examples)}}).at("predictions").select(2, 0);
    for (int64_t n = 0; n < 5; ++n) {
      const auto asked = at::stack({examples.after(n), -examples.after(n)}, 1);
      const auto found = predictor_of(*model)(examples.first(n), asked);
      ASSERT_EQ(found.sizes(), at::IntArrayRef({2, 2}));
      EXPECT_LT((found.select(1, 0) - all.select(1, 2 * n)).abs().max().item<double>(), 1e-12) << mixer << n;
      auto other = examples.first(n + 1);
      other.x = at::cat({examples.x.narrow(1, 0, n), -examples.after(n).unsqueeze(1)}, 1);
      auto again = model->make_context();
      const auto alone = model->forward(again, {{"input_features", tokens_of(other)}}).at("predictions");
      EXPECT_LT((found.select(1, 1) - alone.select(1, 2 * n).select(1, 0)).abs().max().item<double>(), 1e-12);
    }
  }
}

TEST(Behaviour, IsAProbeOfAnyCausalModel) {
  auto model = decoder("attention", at::kFloat);
  const Record rows = {{"input_features", tokens_of(draw(3, 4, 6)).to(at::kFloat)}};
  const auto probe = Registry<Probe>::make(
      {"behaviour", {{"learners", {"ols", {{"type", "ridge"}, {"lambda", 0.5}}}}, {"probes", 4}}});
  const auto report = probe->run(*model, {rows});
  EXPECT_EQ(report.at("distances").size(), 4u * 2);
  EXPECT_EQ(report.at("distances")[1].at("learner"), "ridge (lambda 0.5)");
  const auto few = Registry<Probe>::make({"behaviour", {{"probes", 2}}});
  EXPECT_EQ(error_of([&] { few->run(*model, {rows}); }),
            "implicit weights: expected at least d = 3 probes, found 2");
  EXPECT_NE(error_of([&] { probe->run(*model, {{{"input_ids", at::zeros({1, 2}, at::kLong)}}}); }), "");
  EXPECT_NE(error_of([] { Registry<Probe>::make({"behaviour", {{"learners", "ols"}}}); }), "");
}

TEST(Readout, TargetsAreTheMomentAndTheWeightsOfTheKnownExamples) {
  const auto examples = draw(3, 6, 4);
  const auto tokens = tokens_of(examples);
  const auto moment = at::einsum("bnd,bn->bd", {examples.x.narrow(1, 0, 5), examples.y.narrow(1, 0, 5)});
  EXPECT_LT((readout_targets(tokens, "moment") - moment).abs().max().item<double>(), 1e-5);
  EXPECT_LT((readout_targets(tokens, "weights") - examples.w).abs().max().item<double>(), 1e-4);
}

// States in which the target stands, in one of the tokens; and, in rows of one token (a pooled state is no
// linear function of several), its square, which a linear map cannot read.
TEST(Readout, FindsWhatIsThereAndNothingElse) {
  at::manual_seed(5);
  const int64_t rows = 2000;
  const auto target = at::randn({rows, 2});
  auto there = at::randn({rows, 3, 6}) * 0.1;
  there.select(1, 1).narrow(1, 0, 2).copy_(target);
  there.select(2, 5).fill_(0), there.select(1, 1).select(1, 5).fill_(3);
  ReadoutOptions options;
  options.steps = 400, options.rate = 2e-2, options.head = "linear";
  EXPECT_LT(readout_error(there, target, options), 0.1);
  EXPECT_GT(readout_error(at::randn({rows, 3, 6}), target, options), 0.9);
  const auto squares = target.square(), one = there.narrow(1, 1, 1);
  EXPECT_GT(readout_error(one, squares, options), 0.9);
  options.head = "mlp";
  EXPECT_LT(readout_error(one, squares, options), 0.5);
}

TEST(Readout, ReadsTheTapsThatItIsTold) {
  auto model = decoder("attention", at::kFloat);
  const std::vector<Record> rows = {{{"input_features", tokens_of(draw(3, 4, 40)).to(at::kFloat)}},
                                    {{"input_features", tokens_of(draw(3, 4, 40)).to(at::kFloat)}}};
  const auto states = hidden_states(*model, rows, {"embed.out_stream", "layers.*.channel.stream"});
  ASSERT_EQ(states.size(), 3u);
  EXPECT_EQ(states[2].first, "layers.1.channel.stream");
  EXPECT_EQ(states[0].second.sizes(), at::IntArrayRef({80, 7, 8}));
  const auto report = Registry<Probe>::make({"readout", {{"steps", 3}, {"taps", {"layers.0.mixer.stream"}}}})
                          ->run(*model, rows);
  ASSERT_EQ(report.at("layers").size(), 1u);
  EXPECT_TRUE(report.at("layers")[0].at("error").is_number());
  EXPECT_NE(error_of([&] { hidden_states(*model, rows, {"layers.9.stream"}); }), "");
  EXPECT_EQ(error_of([&] { Registry<Probe>::make("readout")->run(*model, {rows[0]}); }),
            "readout: expected at least 64 rows to train and measure on, found 40");
  EXPECT_EQ(error_of([] {
              Registry<Probe>::make({"readout", {{"taps", "x"}}});
            }),
            "probe 'readout': option taps: expected a list of names, found \"x\"");
}

}  // namespace
}  // namespace formwork
