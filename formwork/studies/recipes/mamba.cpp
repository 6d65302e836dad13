// Mamba (2023): state space models whose step size, input and output follow the token can choose what they
// keep; and they learn text faster than attention at this size.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

class MambaStudy final : public Study {
 public:
  struct Options {
    int64_t copying_steps = 1500, text_steps = 150;
    void describe(Fields& f) {
      f.integer("copying_steps", copying_steps, "updates on selective copying", 1, 1000000);
      f.integer("text_steps", text_steps, "updates on text", 1, 1000000);
    }
  };
  explicit MambaStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Trained copying(StudyContext& ctx, bool selective) const;
  Trained text(StudyContext& ctx, const std::string& name, const Json& layer) const;
  Options options_;
};

Trained MambaStudy::copying(StudyContext& ctx, bool selective) const {
  Json mixer = {{"type", "mamba"}, {"d_state", 8}};
  for (const char* name : {"selective_delta", "selective_b", "selective_c"}) mixer[name] = selective;
  PartSpec task("selective_copying");
  task.options = {{"positions", 32}, {"memorize", 6}, {"symbols", 7}};
  TrainOptions options;
  options.steps = ctx.scaled(options_.copying_steps), options.rate = 4e-3;
  options.schedule = PartSpec("linear");
  return ctx.trained(selective ? "copying-selective" : "copying-constant",
                     small_spec("decoder", 32, 2, {{"mixer", mixer}}), task, options);
}

Trained MambaStudy::text(StudyContext& ctx, const std::string& name, const Json& layer) const {
  TrainOptions options;
  options.steps = ctx.scaled(options_.text_steps), options.rate = 2e-3;
  options.evaluate_batch = 64;
  auto spec = small_spec("decoder", 64, 2, layer);
  spec.model.options["tie"] = false;
  return ctx.trained(name, spec, shakespeare(ctx, 64), options);
}

std::vector<Claim> MambaStudy::run(StudyContext& ctx) {
  const auto selective = copying(ctx, true), constant = copying(ctx, false);
  const auto found_copying =
      ctx.stage("evaluate copying", {{"selective", selective.key}, {"constant", constant.key}}, [&] {
        return Json{{"selective", evaluated(ctx, *selective.model, *selective.task, 512, "accuracy")},
                    {"constant", evaluated(ctx, *constant.model, *constant.task, 512, "accuracy")}};
      });
  const auto mamba = text(ctx, "text-mamba", {{"mixer", "mamba"}});
  const auto attention = text(ctx, "text-attention",
                              {{"mixer", {{"type", "attention"}, {"heads", 4}, {"position", "none"}}},
                               {"channel", {{"type", "mlp"}, {"hidden", 256}}}});
  const auto found_text =
      ctx.stage("evaluate text", {{"mamba", mamba.key}, {"attention", attention.key}}, [&] {
        return Json{{"mamba", evaluated(ctx, *mamba.model, *mamba.task, 512, "loss")},
                    {"attention", evaluated(ctx, *attention.model, *attention.task, 512, "loss")}};
      });
  const double kept = number(found_copying, "selective"), lost = number(found_copying, "constant");
  return {at_least("accuracy of selective copying", "0.998 at length 4096 (not verified)", kept, 0.9),
          at_least("accuracy of selective copying, above constant matrices",
                   "0.434 at length 4096 (0.998 to 0.564, not verified)", kept - lost, 0.1),
          at_least("loss on text, attention less Mamba", "above 0 at equal size",
                   number(found_text, "attention") - number(found_text, "mamba"), 0.2),
          reported("loss on text, Mamba", "not given", number(found_text, "mamba"))};
}

FORMWORK_PART(Study, MambaStudy, "mamba", "selective copying, and text against attention");

}  // namespace
}  // namespace formwork
