// MOHAWK (2024): a transformer becomes a state space model in three stages. At an equal last stage each stage
// before it helps; keeping attention in one layer helps; and the matrices of state space models come nearer
// to attention's than those of other classes with as many states.
#include "formwork/report/tensor_peak.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/matrix_classes.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"
#include "formwork/train/cast_task.h"

namespace formwork {
namespace {

constexpr int64_t kMohawkLength = 64, kMohawkHeads = 4, kMohawkRows = 8;

class MohawkStudy final : public Study {
 public:
  struct Options {
    int64_t teacher_steps = 650, steps = 100, d_state = 24, matrices = 48, fit_steps = 300, rounds = 7;
    void describe(Fields& f) {
      f.integer("teacher_steps", teacher_steps, "updates of the teacher", 1, 1000000);
      f.integer("steps", steps, "updates of each stage; three times as many for the runs of equal length", 1,
                1000000);
      f.integer("d_state", d_state, "states of a channel in the student", 1, 4096);
      f.integer("matrices", matrices, "attention matrices to which classes of matrices are fitted", 1,
                100000);
      f.integer("fit_steps", fit_steps, "steps of those fits", 1, 1000000);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
    }
  };
  explicit MohawkStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  // Updates of stages 1, 2 and 3; 0: the stage is left out.
  struct Course {
    int64_t matrices = 0, hidden = 0, logits = 0;
  };
  Trained teacher(StudyContext& ctx) const;
  Json mixer() const {
    return {{"type", "discrete_mamba2"}, {"heads", kMohawkHeads}, {"d_state", options_.d_state}};
  }
  Distilled student(StudyContext& ctx, const Trained& teacher, const Course& course,
                    bool hybrid = false) const;
  double loss_of(StudyContext& ctx, const Trained& teacher, const std::string& name, const Distilled& made,
                 const std::string& after = "") const;
  Json distances(StudyContext& ctx, const Trained& teacher, const Distilled& made) const;
  Json costs(StudyContext& ctx) const;
  void add_order(StudyContext& ctx, const Trained& teacher, std::vector<Claim>& claims) const;
  void add_equal_length(StudyContext& ctx, const Trained& teacher, std::vector<Claim>& claims) const;
  void add_classes(StudyContext& ctx, const Trained& teacher, std::vector<Claim>& claims) const;
  void add_costs(StudyContext& ctx, std::vector<Claim>& claims) const;
  Options options_;
};

Trained MohawkStudy::teacher(StudyContext& ctx) const {
  const Json layer = {
      {"type", "parallel"},
      {"norm", "layer_norm"},
      {"mixer",
       {{"type", "attention"},
        {"heads", kMohawkHeads},
        {"bias", true},
        {"out_bias", true},
        {"position", "rotary"}}},
      {"channel", {{"type", "mlp"}, {"hidden", 384}, {"activation", "gelu_tanh"}, {"bias", true}}}};
  auto spec = small_spec("decoder", 96, 6, layer);
  spec.model.options["norm"] = "layer_norm", spec.model.options["tie"] = false;
  spec.model.options["head"] = {{"type", "lm"}, {"bias", true}};
  TrainOptions options;
  options.steps = ctx.scaled(options_.teacher_steps), options.batch = 32, options.rate = 3e-3;
  options.schedule = PartSpec("linear", {{"floor", 0}});
  options.evaluate_batch = 32;
  return ctx.trained("mohawk-teacher", spec, shakespeare(ctx, kMohawkLength), options);
}

Distilled MohawkStudy::student(StudyContext& ctx, const Trained& teacher, const Course& course,
                               bool hybrid) const {
  std::vector<double> stages, tokens;
  const std::vector<int64_t> steps = {course.matrices, course.hidden, course.logits};
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t scaled = steps[i] > 0 ? ctx.scaled(steps[i]) : 0;
    tokens.push_back(static_cast<double>(scaled * kMohawkRows * kMohawkLength));
    if (scaled > 0) stages.push_back(static_cast<double>(i + 1));
  }
  PartSpec method("mohawk");
  method.options = {{"mixer", mixer()},
                    {"stages", stages},
                    {"tokens", tokens},
                    {"rates", {2e-3, 2e-3, 2e-3}},
                    {"batch", kMohawkRows},
                    {"evaluate_batch", 32},
                    {"schedule", {{"type", "linear"}, {"warmup", ctx.scaled(10)}, {"floor", 0}}}};
  if (hybrid) method.options["keep"] = {3};
  return ctx.distilled(fmt::format("mohawk-{}{}", fmt::join(steps, "-"), hybrid ? "-hybrid" : ""), teacher,
                       method);
}

// Nats a character on held-out text, of the student or of the model after a stage.
double MohawkStudy::loss_of(StudyContext& ctx, const Trained& teacher, const std::string& name,
                            const Distilled& made, const std::string& after) const {
  auto& model = after.empty() ? *made.student : *made.after.at(after);
  const auto found = ctx.stage(fmt::format("evaluate {}{}", name, after.empty() ? "" : " after " + after),
                               {{"student", made.key}, {"after", after}}, [&] {
                                 return Json{{"loss", evaluated(ctx, model, *teacher.task, 512, "loss")}};
                               });
  return number(found, "loss");
}

// The mean over layers of the distance of matrices from the teacher's, at the start and after stage 1.
Json MohawkStudy::distances(StudyContext& ctx, const Trained& teacher, const Distilled& made) const {
  return ctx.stage("matrix distance", {{"student", made.key}}, [&] {
    const Cast others = Cast().set(kTeacher, teacher.model);
    const CastTask task(*teacher.task, others, {PartSpec("matrices")});
    const auto start =
        transformed(teacher.model, "exchange_mixers", {{"mixer", mixer()}, {"seed", ctx.seed()}}, {}).model;
    const auto layers = static_cast<double>(layer_segments(*teacher.model).size());
    const auto of = [&](Model& model) { return evaluation_loss(model, task, ctx.scaled(64, 4)) / layers; };
    return Json{{"before", of(*start)}, {"after", of(*made.after.at("matrices"))}};
  });
}

void MohawkStudy::add_order(StudyContext& ctx, const Trained& teacher, std::vector<Claim>& claims) const {
  const int64_t n = options_.steps;
  const auto last = student(ctx, teacher, {0, 0, n}), two = student(ctx, teacher, {0, n, n}),
             three = student(ctx, teacher, {n, n, n}), hybrid = student(ctx, teacher, {0, n, n}, true);
  const double own =
      number(ctx.stage("evaluate teacher", {{"teacher", teacher.key}},
                       [&] {
                         return Json{{"loss", evaluated(ctx, *teacher.model, *teacher.task, 512, "loss")}};
                       }),
             "loss");
  const double loss3 = loss_of(ctx, teacher, "3", last), loss23 = loss_of(ctx, teacher, "2+3", two),
               loss123 = loss_of(ctx, teacher, "1+2+3", three);
  const auto matrices = distances(ctx, teacher, three);
  const double aligned = loss_of(ctx, teacher, "2", two, "hidden_states"),
               oriented = loss_of(ctx, teacher, "1+2", three, "hidden_states"),
               kept = loss_of(ctx, teacher, "2+3 hybrid", hybrid);
  claims.push_back(
      at_least("loss, stage 3 less stages 2 and 3", "above 0 at an equal last stage", loss3 - loss23, 0));
  claims.push_back(
      at_least("loss, stages 2 and 3 less all", "above 0 at an equal last stage", loss23 - loss123, 0));
  claims.push_back(at_most("gap to the teacher, all stages over stage 3", "below 1",
                           (loss123 - own) / (loss3 - own), 0.75));
  claims.push_back(at_most("distance of matrices, after stage 1 over before", "falls",
                           number(matrices, "after") / number(matrices, "before"), 0.4));
  claims.push_back(
      at_least("loss before stage 3, stage 2 less stages 1 and 2", "above 0", aligned - oriented, 0.1));
  claims.push_back(at_least("loss, pure less with attention kept in layer 3", "above 0", loss23 - kept, 0));
  for (const auto& [name, value] : {std::pair{"the teacher", own},
                                    {"stage 3", loss3},
                                    {"stages 2 and 3", loss23},
                                    {"all stages", loss123},
                                    {"stages 2 and 3, attention kept in layer 3", kept},
                                    {"stage 2 alone", aligned},
                                    {"stages 1 and 2 alone", oriented}})
    claims.push_back(reported(fmt::format("loss, {}", name), "not given at this size", value));
  for (const char* when : {"before", "after"})
    claims.push_back(reported(fmt::format("mean distance of matrices, {} stage 1", when), "not given",
                              number(matrices, when)));
}

// The published order is of equal numbers of tokens in all. At this size it does not hold.
void MohawkStudy::add_equal_length(StudyContext& ctx, const Trained& teacher,
                                   std::vector<Claim>& claims) const {
  const auto part = [&](int64_t percent) { return options_.steps * percent / 100; };
  const std::vector<std::pair<const char*, Course>> courses = {
      {"stage 3", {0, 0, part(300)}},
      {"stages 2 and 3", {0, part(100), part(200)}},
      {"all stages", {part(50), part(80), part(170)}}};
  std::vector<double> losses;
  for (const auto& [name, course] : courses) {
    const auto made = student(ctx, teacher, course);
    losses.push_back(loss_of(ctx, teacher, fmt::format("{}, equal length", name), made));
  }
  claims.push_back(at_least("loss at equal updates in all, stage 3 less all stages",
                            "above 0 at 3 billion tokens", losses[0] - losses[2], 0));
  for (size_t i = 0; i < courses.size(); ++i)
    claims.push_back(reported(fmt::format("loss at equal updates in all, {}", courses[i].first),
                              "not given at this size", losses[i]));
}

// The teacher's attention matrices on held-out text [n, T, T], layers and heads in turns.
Tensor attention_matrices(const Trained& teacher, int64_t count) {
  const auto batch = teacher.task->evaluation_batch(4, 0);
  Passage passage(*teacher.model, batch.inputs, nullptr);
  std::vector<Tensor> all;
  for (const auto& site : mixing_sites(*teacher.model))
    all.push_back(passage.matrices(site, passage.before(site.segment)).flatten(0, 1));
  const auto matrices = at::stack(all, 1).flatten(0, 1);
  return matrices.narrow(0, 0, std::min(count, matrices.size(0)));
}

void MohawkStudy::add_classes(StudyContext& ctx, const Trained& teacher, std::vector<Claim>& claims) const {
  constexpr int64_t kStates = 8;
  const auto found =
      ctx.stage("fit matrices", {{"teacher", teacher.key}, {"options", options_json(options_)}}, [&] {
        return matrix_class_errors(attention_matrices(teacher, ctx.scaled(options_.matrices)), kStates,
                                   ctx.scaled(options_.fit_steps, 20), ctx.seed());
      });
  double other = 1e300;
  for (const char* name : {"linear attention", "low rank", "toeplitz"})
    other = std::min(other, number(found, name));
  claims.push_back(below("error of semiseparable matrices over that of the best other class, 8 states",
                         "below 1: the lowest of all", number(found, "semiseparable") / other, 1));
  for (const char* name : {"semiseparable", "linear attention", "low rank", "toeplitz"})
    claims.push_back(
        reported(fmt::format("relative error, {}, to attention", name), "not given", number(found, name)));
}

Record mohawk_ids(int64_t tokens) {
  return {{"input_ids", at::arange(tokens, at::kLong).mul(37).remainder(64).unsqueeze(0)}};
}

// Seconds of a decoding step after 256 and 4096 tokens, of the scan of T and 2 T tokens, and bytes of a
// backward pass through the matrices of one layer.
Json MohawkStudy::costs(StudyContext& ctx) const {
  auto spec = small_spec("decoder", 96, 1, {{"mixer", mixer()}});
  spec.model.options["vocab"] = 64;
  const auto model = build_model(spec, 0);
  const auto decode = [&](int64_t tokens) -> std::function<void()> {
    const at::NoGradGuard guard;
    auto context = model->make_context();
    auto state = std::make_shared<ModelState>(model->make_state(context, {}, {}));
    model->append(context, mohawk_ids(tokens), *state);
    return [&model, state] {
      const at::NoGradGuard guard;
      auto context = model->make_context();
      auto here = state->fork(at::zeros({1}, at::kLong));
      for (int i = 0; i < 16; ++i) model->append(context, mohawk_ids(1), here);
    };
  };
  const auto scan = [&](int64_t tokens) -> std::function<void()> {
    return [&model, in = mohawk_ids(tokens)] {
      const at::NoGradGuard guard;
      auto context = model->make_context();
      model->forward(context, in);
    };
  };
  const auto peak = [&](int64_t tokens) {
    const auto in = mohawk_ids(tokens);
    auto context = model->make_context();
    Passage passage(*model, in, &context);
    const auto site = mixing_sites(*model).at(0);
    const auto& stream = passage.before(site.segment);
    const TensorPeak counter;
    const auto matrices = passage.matrices(site, stream);
    at::linalg_vector_norm(matrices, 2, at::IntArrayRef{-2, -1}).mean().backward();
    return static_cast<double>(counter.bytes());
  };
  const auto steps =
      shortest_seconds({decode(ctx.scaled(256, 4)), decode(ctx.scaled(4096, 64))}, 5 * options_.rounds);
  const int64_t length = ctx.scaled(2048, 256), rows = ctx.scaled(1024, 128);
  const auto passes = shortest_seconds({scan(length), scan(2 * length)}, options_.rounds);
  return {{"early", steps[0] / 16}, {"late", steps[1] / 16}, {"short", passes[0]},
          {"long", passes[1]},      {"memory", peak(rows)},  {"memory twice", peak(2 * rows)}};
}

void MohawkStudy::add_costs(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto found = ctx.stage("time", {{"options", options_json(options_)}}, [&] { return costs(ctx); });
  claims.push_back(at_most("time of a decoding step, after 4096 tokens over 256", "1: constant memory",
                           number(found, "late") / number(found, "early"), 1.1));
  claims.push_back(at_most("time of a pass, 4096 over 2048 tokens", "2: linear in the length",
                           number(found, "long") / number(found, "short"), 2.3));
  claims.push_back(between("memory of the matrices, 2048 over 1024 tokens", "4: quadratic in the length",
                           number(found, "memory twice") / number(found, "memory"), 3.5, 4.5));
}

std::vector<Claim> MohawkStudy::run(StudyContext& ctx) {
  std::vector<Claim> claims;
  const auto trained = teacher(ctx);
  add_order(ctx, trained, claims);
  add_equal_length(ctx, trained, claims);
  add_classes(ctx, trained, claims);
  add_costs(ctx, claims);
  return claims;
}

FORMWORK_PART(Study, MohawkStudy, "mohawk",
              "from attention to state spaces in three stages, each left out in turn");

}  // namespace
}  // namespace formwork
