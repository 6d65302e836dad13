#include "formwork/studies/recipes/icl_models.h"

#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

Json layer_of(const IclOptions& options) {
  return {{"type", options.norm_style},
          {"norm", "layer_norm"},
          {"mixer",
           {{"type", "attention"},
            {"heads", options.heads},
            {"head_width", options.head_width},
            {"fused", false},
            {"bias", true},
            {"out_bias", true}}},
          {"channel", {{"type", "mlp"}, {"hidden", 4 * options.width}, {"activation", "gelu_tanh"}}}};
}

// Every matrix and bias uniform by its fan-in, positions by their number, as in the released code.
Spec icl_spec(const IclOptions& options, int64_t layers) {
  const int64_t rows = 2 * (options.n_max + 1);
  auto spec = small_spec("decoder", options.width, layers, layer_of(options));
  spec.model.options["position"] = {{"type", "learned"}, {"context", rows}};
  spec.model.options["norm"] = nullptr;
  const auto init = [](const std::string& name) { return Json{{"type", "stored"}, {"init", name}}; };
  spec.sources = {
      {"*", init("fan_in_uniform")},
      {"*.norm.weight", init("ones")},
      {"*.norm.bias", init("zeros")},
      {"position.weight", init(fmt::format("uniform:{}", 1 / std::sqrt(static_cast<double>(rows))))}};
  return spec;
}

// Beyond those of training, whatever the seed.
constexpr uint64_t kEvaluation = (uint64_t{1} << 40) + 1;

Tensor tokens_of(const Examples& examples) {
  auto asked = examples;
  asked.y = asked.y.narrow(1, 0, asked.x.size(1) - 1);
  return interleave(asked).to(at::kFloat);
}

}  // namespace

Trained icl_model(StudyContext& ctx, const IclOptions& options, const IclCase& which) {
  PartSpec task("linear_regression");
  task.options = {{"d", options.d},
                  {"n_max", options.n_max},
                  {"sigma", which.sigma},
                  {"tau", options.tau},
                  {"fixed_w", which.fixed_w}};
  TrainOptions training;
  training.steps = ctx.scaled(which.steps), training.batch = options.batch, training.rate = options.rate;
  training.optimizer.options = {{"beta1", 0.9}, {"beta2", 0.98}, {"epsilon", 1e-9}, {"decay", 0}};
  training.schedule = PartSpec("cosine");
  training.schedule.options = {{"warmup", training.steps / 5}, {"floor", 0}};
  return ctx.trained("icl-" + which.name, icl_spec(options, which.layers), task, training);
}

Examples icl_examples(const StudyContext& ctx, const IclOptions& options, double sigma, int64_t rows) {
  LinearProblems problems;
  problems.d = options.d, problems.n_max = options.n_max, problems.sigma = sigma, problems.tau = options.tau;
  return draw_examples(problems, kEvaluation + 2 * ctx.seed(), 0, rows);
}

Json icl_behaviour(StudyContext& ctx, const IclOptions& options, const Trained& trained, const IclCase& which,
                   const std::vector<PartSpec>& learners) {
  Json names = Json::array();
  for (const auto& learner : learners) names.push_back(learner.to_json());
  const int64_t rows = ctx.scaled(options.rows, 16);
  return ctx.stage(
      "behaviour " + which.name, {{"model", trained.key}, {"learners", names}, {"rows", rows}}, [&] {
        const at::NoGradGuard guard;
        const auto examples = icl_examples(ctx, options, which.sigma, rows);
        BehaviourOptions behave;
        behave.learners = learners;
        auto found = behaviour(predictor_of(*trained.model), examples, behave);
        auto pass = trained.model->make_context();
        const auto predictions =
            trained.model->forward(pass, {{"input_features", tokens_of(examples)}}).at("predictions");
        const auto asked = predictions.slice(1, 0, std::nullopt, 2).select(2, 0).to(at::kDouble);
        const auto loss = (asked - examples.y).square().mean(0).contiguous();
        found["loss"] = std::vector<double>(loss.data_ptr<double>(), loss.data_ptr<double>() + loss.numel());
        return found;
      });
}

Json icl_readouts(StudyContext& ctx, const IclOptions& options, const Trained& trained, const IclCase& which,
                  const std::string& head, const std::string& target) {
  const int64_t rows = ctx.scaled(options.readout_rows, 64);
  ReadoutOptions readout;
  readout.head = head, readout.target = target, readout.steps = ctx.scaled(options.readout_steps);
  readout.seed = static_cast<int64_t>(ctx.seed());
  const auto name = fmt::format("{} of {} by {}", target, which.name, head);
  return ctx.stage("read " + name, {{"model", trained.key}, {"rows", rows}, {"steps", readout.steps}}, [&] {
    const auto tokens = tokens_of(icl_examples(ctx, options, 0, rows));
    const auto targets = readout_targets(tokens, target);
    Json found = Json::array();
    for (const auto& [tap, hidden] :
         hidden_states(*trained.model, {{{"input_features", tokens}}}, readout.taps))
      found.push_back({{"tap", tap}, {"error", readout_error(hidden, targets, readout)}});
    return found;
  });
}

double mean_distance(const Json& found, const std::string& learner, const std::string& field, int64_t above) {
  double sum = 0;
  int64_t count = 0;
  for (const auto& row : found.at("distances"))
    if (row.at("learner") == learner && row.at("n").get<int64_t>() > above)
      sum += row.at(field).get<double>(), ++count;
  return sum / static_cast<double>(count);
}

}  // namespace formwork
