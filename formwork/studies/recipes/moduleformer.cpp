// ModuleFormer (2023): stick-breaking attention needs no positions, and rows longer than those of training
// harm it less.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

class ModuleFormerStudy final : public Study {
 public:
  struct Options {
    int64_t steps = 600;
    void describe(Fields& f) { f.integer("steps", steps, "updates of each model", 1, 1000000); }
  };
  explicit ModuleFormerStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Trained text(StudyContext& ctx, const std::string& name, const Json& mixer, const char* position) const;
  Options options_;
};

constexpr int64_t kLength = 64, kLong = 256;

Trained ModuleFormerStudy::text(StudyContext& ctx, const std::string& name, const Json& mixer,
                                const char* position) const {
  TrainOptions options;
  options.steps = ctx.scaled(options_.steps), options.rate = 2e-3;
  options.evaluate_batch = 64;
  auto spec =
      small_spec("decoder", 64, 2, {{"mixer", mixer}, {"channel", {{"type", "mlp"}, {"hidden", 256}}}});
  spec.model.options["position"] = position;
  return ctx.trained(name, spec, shakespeare(ctx, kLength), options);
}

// Losses on rows as long as those of training and on longer ones.
Json losses(StudyContext& ctx, const Trained& trained) {
  auto longer = Registry<Task>::make(shakespeare(ctx, kLong));
  longer->prepare(trained.model->inventory().spec.meta);
  return {{"short", evaluated(ctx, *trained.model, *trained.task, 512, "loss")},
          {"long", evaluated(ctx, *trained.model, *longer, 128, "loss")}};
}

std::vector<Claim> ModuleFormerStudy::run(StudyContext& ctx) {
  const Json softmax = {{"type", "attention"}, {"heads", 4}, {"position", "none"}};
  const auto measured = [&](const std::string& name, const Json& mixer, const char* position, bool lengths) {
    const auto trained = text(ctx, "text-" + name, mixer, position);
    return ctx.stage("evaluate " + name, {{"model", trained.key}}, [&] {
      return lengths ? losses(ctx, trained)
                     : Json{{"short", evaluated(ctx, *trained.model, *trained.task, 512, "loss")}};
    });
  };
  const auto sticks =
      measured("stick-breaking", {{"type", "stick_breaking"}, {"modules", 1}, {"heads", 4}}, "none", true);
  const auto bare = measured("softmax", softmax, "none", true);
  const auto learned = measured("softmax-learned", softmax, "learned", false);
  const double loss = number(sticks, "short");
  return {at_least("loss, softmax without positions less stick-breaking", "not given",
                   number(bare, "short") - loss, 0.2),
          at_least("loss, softmax with learned positions less stick-breaking", "not given",
                   number(learned, "short") - loss, 0.1),
          at_most("rise of the loss, stick-breaking on rows of 256 after 64", "long contexts need no change",
                  number(sticks, "long") - loss, 0.1),
          reported("rise of the loss, softmax without positions on rows of 256 after 64", "not given",
                   number(bare, "long") - number(bare, "short"))};
}

FORMWORK_PART(Study, ModuleFormerStudy, "moduleformer", "stick-breaking attention against softmax, on text");

}  // namespace
}  // namespace formwork
