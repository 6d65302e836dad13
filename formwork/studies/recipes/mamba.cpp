// Mamba (2023): state space models whose step size, input and output follow the token can choose what they
// keep, also over rows longer than those of training; and they learn text faster than attention at this size.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

class MambaStudy final : public Study {
 public:
  struct Options {
    int64_t copying_steps = 1500, induction_steps = 1000, text_steps = 150;
    void describe(Fields& f) {
      f.integer("copying_steps", copying_steps, "updates on selective copying", 1, 1000000);
      f.integer("induction_steps", induction_steps, "updates on induction heads", 1, 1000000);
      f.integer("text_steps", text_steps, "updates on text", 1, 1000000);
    }
  };
  explicit MambaStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Trained copying(StudyContext& ctx, bool selective) const;
  Json induction(StudyContext& ctx) const;
  Trained text(StudyContext& ctx, const std::string& name, const Json& layer,
               const char* position = "none") const;
  Options options_;
};

Trained MambaStudy::copying(StudyContext& ctx, bool selective) const {
  Json mixer = {{"type", "mamba"}, {"d_state", 8}};
  for (const char* name : {"selective_delta", "selective_b", "selective_c"}) mixer[name] = selective;
  PartSpec task("selective_copying");
  task.options = {{"positions", 32}, {"memorize", 6}, {"symbols", 7}};
  TrainOptions options;
  options.steps = ctx.scaled(options_.copying_steps), options.rate = 4e-3;
  // The first 1,500 of 2,200 updates in which the rate falls to a tenth.
  options.schedule = PartSpec("linear");
  options.schedule.options = {{"warmup", ctx.scaled(50)}, {"floor", 0.393}};
  return ctx.trained(selective ? "copying-selective" : "copying-constant",
                     small_spec("decoder", 32, 2, {{"mixer", mixer}}), task, options);
}

constexpr int64_t kInductionShort = 64, kInductionLong = 512;

PartSpec induction_heads(int64_t length) {
  PartSpec task("induction_heads");
  task.options = {{"length", length}};
  return task;
}

// Accuracies on rows as long as those of training and on longer ones.
Json MambaStudy::induction(StudyContext& ctx) const {
  TrainOptions options;
  options.steps = ctx.scaled(options_.induction_steps), options.rate = 2e-3;
  options.schedule = PartSpec("linear");
  const auto trained = ctx.trained("induction", small_spec("decoder", 64, 2, {{"mixer", "mamba"}}),
                                   induction_heads(kInductionShort), options);
  return ctx.stage("evaluate induction", {{"model", trained.key}, {"long", kInductionLong}}, [&] {
    auto longer = Registry<Task>::make(induction_heads(kInductionLong));
    longer->prepare(trained.model->inventory().spec.meta);
    return Json{{"short", evaluated(ctx, *trained.model, *trained.task, 512, "accuracy")},
                {"long", evaluated(ctx, *trained.model, *longer, 512, "accuracy")}};
  });
}

Trained MambaStudy::text(StudyContext& ctx, const std::string& name, const Json& layer,
                         const char* position) const {
  TrainOptions options;
  options.steps = ctx.scaled(options_.text_steps), options.rate = 2e-3;
  options.evaluate_batch = 64;
  auto spec = small_spec("decoder", 64, 2, layer);
  spec.model.options["tie"] = false, spec.model.options["position"] = position;
  return ctx.trained(name, spec, shakespeare(ctx, 64), options);
}

std::vector<Claim> MambaStudy::run(StudyContext& ctx) {
  const auto selective = copying(ctx, true), constant = copying(ctx, false);
  const auto found_copying =
      ctx.stage("evaluate copying", {{"selective", selective.key}, {"constant", constant.key}}, [&] {
        return Json{{"selective", evaluated(ctx, *selective.model, *selective.task, 512, "accuracy")},
                    {"constant", evaluated(ctx, *constant.model, *constant.task, 512, "accuracy")}};
      });
  const auto found_induction = induction(ctx);
  const auto loss_on_text = [&](const std::string& name, const Json& layer, const char* position) {
    const auto trained = text(ctx, "text-" + name, layer, position);
    return number(
        ctx.stage("evaluate " + name, {{"model", trained.key}},
                  [&] {
                    return Json{{"loss", evaluated(ctx, *trained.model, *trained.task, 512, "loss")}};
                  }),
        "loss");
  };
  const Json attention = {{"mixer", {{"type", "attention"}, {"heads", 4}, {"position", "none"}}},
                          {"channel", {{"type", "mlp"}, {"hidden", 256}}}};
  const double mamba = loss_on_text("mamba", {{"mixer", "mamba"}}, "none");
  const double bare = loss_on_text("attention", attention, "none");
  const double learned = loss_on_text("attention-learned", attention, "learned");
  const double kept = number(found_copying, "selective"), lost = number(found_copying, "constant");
  return {at_least("accuracy of selective copying", "0.998 at length 4096 (not verified)", kept, 0.9),
          at_least("accuracy of selective copying, above constant matrices",
                   "0.434 at length 4096 (0.998 to 0.564, not verified)", kept - lost, 0.1),
          reported("accuracy of induction heads on rows as long as in training", "1 at length 256",
                   number(found_induction, "short")),
          reported("accuracy of induction heads on rows 8 times as long", "1, up to a million tokens",
                   number(found_induction, "long")),
          at_least("loss on text, attention less Mamba", "above 0 at equal size", bare - mamba, 0.2),
          at_least("loss on text, attention with learned positions less Mamba", "above 0 at equal size",
                   learned - mamba, 0.2),
          reported("loss on text, Mamba", "not given", mamba)};
}

FORMWORK_PART(Study, MambaStudy, "mamba", "selective copying, induction heads, and text against attention");

}  // namespace
}  // namespace formwork
