// Local learning: each module by a loss of its own, exactly, and with the activations of one module at a
// time.
#include "formwork/models/model_io.h"
#include "formwork/report/tensor_peak.h"
#include "formwork/train/objectives/reconstruction.h"
#include "train/local_run.h"
#include "train/small_run.h"

namespace formwork {
namespace {

double gap_of(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TrainOptions image_options(const Json& rule) {
  auto options = small_options();
  options.steps = 10, options.step_rule = PartSpec::from_json(rule, "test");
  return options;
}

TEST(LocalStep, WithOneModuleIsPlainTrainingBitForBit) {
  FewImages task(8, at::kFloat);
  auto plain = pyramid(at::kFloat, 0.2), local = pyramid(at::kFloat, 0.2);
  train(*plain, task, image_options("plain"));
  train(*local, task, image_options({{"type", "local"}, {"modules", 1}}));
  EXPECT_EQ(greatest_difference(*plain, *local), 0);
}

TEST(LocalStep, GivesTheLogitsOfTheUncutModel) {
  const FewImages task(8, at::kFloat);
  OneStep plain(pyramid(at::kFloat), task, "plain"), local(pyramid(at::kFloat), task, three_modules());
  EXPECT_EQ(plain.gradients().loss, local.gradients().loss);
}

// The losses of the modules, written down once more on a graph whose module borders are leaves.
TEST(LocalStep, GradientsAreThoseOfEachModulesOwnLoss) {
  const FewImages task;
  auto rule = three_modules();
  rule["reconstruct_first"] = 0.7, rule["reconstruct_last"] = 2, rule["task_first"] = 0.5;
  OneStep step(pyramid(), task, rule);
  step.gradients();
  std::map<std::string, Tensor> found, oracle;
  for (auto* inventory : {&step.model->inventory(), step.rule->parts()})
    for (auto& param : inventory->params)
      if (param.trainable()) found[param.name] = param.value.grad().clone();
  step.parameters->clear_gradients();

  const auto& pixels = step.batch.inputs.at("pixel_values");
  const auto targets = step.batch.targets;
  auto ctx = step.model->make_context();
  ctx.mode.train = true;
  auto streams = step.model->start(ctx, step.batch.inputs);
  auto& x = streams.at("residual").x;
  const auto map = [&](const std::string& name, const Tensor& y) {
    return at::linear(y, step.value(name + ".weight"), step.value(name + ".bias"));
  };
  const auto cross_entropy = [&](const std::string& head, const Tensor& y) {
    return at::cross_entropy_loss(map(head + ".classes", y.mean(1)), targets);
  };
  // Segments: layer 0 is two, the merging one one, the others two each.
  step.model->run(ctx, 0, 3, streams);
  // 4 x 4 pixels lie in each token of the 2 x 2 map.
  const auto logits = map("local.1.reconstructor.map", x).view({8, 2, 2, 4, 4, 3});
  const auto lying = pixels.view({8, 3, 2, 4, 2, 4}).permute({0, 2, 4, 3, 5, 1});
  (0.7 * at::binary_cross_entropy_with_logits(logits, lying) + 0.5 * cross_entropy("local.1.head", x))
      .backward();
  x = x.detach();
  const auto read = x;
  step.model->run(ctx, 3, 5, streams);
  const auto normed = (read - read.mean(-1, true)) / (read.var(-1, false, true) + 1e-5).sqrt();
  (2 * at::mse_loss(map("local.2.reconstructor.map", x), normed) + cross_entropy("local.2.head", x))
      .backward();
  x = x.detach();
  step.model->run(ctx, 5, 7, streams);
  Record out;
  step.model->finish(ctx, streams, out);
  at::cross_entropy_loss(out.at("logits"), targets).backward();
  for (auto* inventory : {&step.model->inventory(), step.rule->parts()})
    for (auto& param : inventory->params)
      if (param.trainable()) {
        EXPECT_LT(gap_of(param.value.grad(), found.at(param.name)), 1e-12) << param.name;
        EXPECT_GT(found.at(param.name).abs().max().item<double>(), 0) << param.name;
      }
}

TEST(LocalStep, NoLossReachesAnotherModule) {
  const FewImages task;
  auto rule = three_modules(), first = rule, second = rule;
  first["reconstruct_first"] = 3, first["task_first"] = 5;
  second["reconstruct_last"] = 3, second["task_last"] = 5;
  OneStep as_is(pyramid(), task, rule), first_changed(pyramid(), task, first),
      second_changed(pyramid(), task, second);
  for (auto* step : {&as_is, &first_changed, &second_changed}) step->gradients();
  const auto same = [&](OneStep& other, const std::string& prefix) {
    bool all = true;
    const auto found = other.gradients_of(prefix);
    for (const auto& [name, gradient] : as_is.gradients_of(prefix))
      all &= at::equal(gradient, found.at(name));
    return all;
  };
  for (const char* later : {"layers.2", "layers.3", "norm", "head"})
    EXPECT_TRUE(same(first_changed, later)) << later;
  for (const char* other : {"stem", "layers.0", "layers.1", "layers.3", "norm", "head"})
    EXPECT_TRUE(same(second_changed, other)) << other;
  EXPECT_FALSE(same(first_changed, "stem"));
  EXPECT_FALSE(same(first_changed, "layers.0"));
  EXPECT_FALSE(same(second_changed, "layers.2"));
}

TEST(LocalStep, APipelineGivesTheSameGradients) {
  const FewImages task(8, at::kFloat);
  auto rule = three_modules(), pipeline = rule;
  pipeline["pipeline"] = true;
  OneStep in_turn(pyramid(at::kFloat, 0.3), task, rule, 4),
      at_once(pyramid(at::kFloat, 0.3), task, pipeline, 4);
  EXPECT_EQ(in_turn.gradients().loss, at_once.gradients().loss);
  const auto expected = in_turn.gradients_of("");
  for (const auto& [name, gradient] : at_once.gradients_of(""))
    EXPECT_TRUE(at::equal(gradient, expected.at(name))) << name;
}

TEST(LocalStep, AccumulationEqualsTheLargeBatch) {
  const FewImages task;
  OneStep whole(pyramid(), task, three_modules()), parts(pyramid(), task, three_modules(), 3);
  EXPECT_NEAR(whole.gradients().loss, parts.gradients().loss, 1e-12);
  const auto expected = whole.gradients_of("");
  for (const auto& [name, gradient] : parts.gradients_of(""))
    EXPECT_LT(gap_of(gradient, expected.at(name)), 1e-12) << name;
}

// What the step must hold at once: less than end to end, and less than losses that are added up and
// differentiated together, whose gradients would be the same.
TEST(LocalStep, HoldsTheActivationsOfOneModule) {
  const FewImages task(64, at::kFloat);
  const auto peak_of = [](const std::function<void()>& work) {
    work();
    const TensorPeak peak;
    work();
    return static_cast<double>(peak.bytes());
  };
  Json rule = three_modules();
  rule["cuts"] = {"layers.0", "layers.2"};
  OneStep plain(pyramid(at::kFloat), task, "plain", 1, 64), local(pyramid(at::kFloat), task, rule, 1, 64);
  const double end_to_end = peak_of([&] { plain.gradients(); }),
               in_turn = peak_of([&] { local.gradients(); });
  const double together = peak_of([&] {
    plain.parameters->clear_gradients();
    auto ctx = plain.model->make_context();
    auto streams = plain.model->start(ctx, plain.batch.inputs);
    auto& x = streams.at("residual").x;
    Tensor sum;
    for (const auto& [first, last] : {std::pair{0, 2}, {2, 5}, {5, 7}}) {
      plain.model->run(ctx, first, last, streams);
      sum = sum.defined() ? sum + x.square().mean() : x.square().mean();
      x = x.detach();
    }
    sum.backward();
  });
  EXPECT_LT(in_turn, 0.75 * end_to_end);
  EXPECT_LT(in_turn, 0.75 * together);
}

TEST(LocalStep, ClipsEachModuleByItself) {
  const FewImages task;
  OneStep step(pyramid(), task, three_modules());
  step.gradients();
  const auto before = step.gradients_of("");
  const auto norm_of = [](const std::map<std::string, Tensor>& all,
                          const std::vector<std::string>& prefixes) {
    double squares = 0;
    for (const auto& [name, gradient] : all)
      for (const auto& prefix : prefixes)
        if (name.starts_with(prefix)) squares += gradient.square().sum().item<double>();
    return std::sqrt(squares);
  };
  const double whole = step.parameters->gradient_norm();
  const std::vector<std::string> last = {"layers.3", "norm.", "head."};
  const double most = norm_of(before, last) * 0.5;
  const auto clipped = step.rule->clip(*step.parameters, most);
  EXPECT_NEAR(clipped.norm, whole, 1e-12 * whole);
  EXPECT_EQ(clipped.scale, 1);
  EXPECT_NEAR(norm_of(step.gradients_of(""), last), most, 1e-12);
  // A bound that only the first module passes leaves the last one as it is.
  OneStep other(pyramid(), task, three_modules());
  other.gradients();
  const double above = 1.5 * norm_of(before, last);
  other.rule->clip(*other.parameters, above);
  EXPECT_EQ(norm_of(other.gradients_of(""), last), norm_of(before, last));
}

// Reconstructors with batch statistics, dropout, parts of a batch, an average and clipping.
TEST(LocalStep, ResumesExactlyAndShipsThePlainModel) {
  const TemporaryFolder folder;
  FewImages task(8, at::kFloat);
  Json rule = three_modules();
  rule["reconstructor"] = "conv", rule["head"] = "conv_classifier";
  auto options = image_options(rule);
  options.accumulate = 2, options.ema = 0.9, options.clip = 0.1;
  auto whole = pyramid(at::kFloat, 0.2), first = pyramid(at::kFloat, 0.2),
       second = pyramid(at::kFloat, 0.2, 9);
  const auto straight = train(*whole, task, options);
  options.folder = (folder / "run").string(), options.stop_after = 4;
  train(*first, task, options);
  options.stop_after = 0, options.resume = true;
  const auto resumed = train(*second, task, options);
  EXPECT_EQ(greatest_difference(*whole, *second), 0);
  EXPECT_EQ(straight.loss, resumed.loss);
  const auto shipped = load_model(options.folder);
  EXPECT_EQ(greatest_difference(*shipped, *whole), 0);
  EXPECT_EQ(shipped->spec().to_json()["model"], pyramid(at::kFloat, 0.2)->spec().to_json()["model"]);
  for (const auto& param : shipped->inventory().params)
    EXPECT_FALSE(param.name.starts_with("local.")) << param.name;
}

TEST(LocalStep, LearnsWithEveryTargetReconstructorAndObjective) {
  const Json narrow = {{"type", "transformer"}, {"width", 16}};
  for (const auto& [target, reconstructor, objective] :
       {std::tuple<const char*, Json, const char*>{"features", "linear", "ce"},
        {"features", "conv", "ce"},
        {"features", narrow, "ce"},
        {"image", "conv", "ce"},
        {"image", narrow, "ce"},
        {"none", "linear", "ce"},
        {"features", "linear", "contrast"}}) {
    FewImages task(8, at::kFloat);
    const Json rule = {{"type", "local"},
                       {"cuts", {"layers.1", "layers.2"}},
                       {"target", target},
                       {"objective", objective},
                       {"reconstructor", reconstructor}};
    auto options = image_options(rule);
    options.steps = 120, options.batch = 8;
    auto model = pyramid(at::kFloat);
    EXPECT_LT(train(*model, task, options).evaluation.loss, 0.3) << rule.dump();
  }
}

TEST(LocalStep, TrainsADecoderOfText) {
  const TemporaryFolder folder;
  auto task = small_task(folder.path());
  auto options = image_options({{"type", "local"}, {"cuts", {"layers.0"}}, {"head", "lm"}});
  options.steps = 120, options.batch = 8;
  auto spec = small_decoder()->spec();
  spec.model.options["tie"] = false;
  auto model = build_model(spec, 1);
  EXPECT_LT(train(*model, *task, options).evaluation.loss, 1.8);
}

}  // namespace
}  // namespace formwork
