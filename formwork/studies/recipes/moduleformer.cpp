// ModuleFormer (2023): stick-breaking attention needs no positions, and rows longer than those of training
// harm it less. Balanced by mutual information all modules are used, differently by domains; concentrated on
// one domain, the modules that it does not use can go; and new modules learn a new domain beside the old.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/module_domains.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

class ModuleFormerStudy final : public Study {
 public:
  struct Options : ModuleOptions {
    int64_t steps = 600;
    void describe(Fields& f) {
      f.integer("steps", steps, "updates of each model of text alone", 1, 1000000);
      ModuleOptions::describe(f);
    }
  };
  explicit ModuleFormerStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Trained text(StudyContext& ctx, const std::string& name, const Json& mixer, const char* position) const;
  std::vector<Claim> positions(StudyContext& ctx) const;
  Options options_;
};

constexpr int64_t kWindowLength = 64, kWindowLong = 256;

Trained ModuleFormerStudy::text(StudyContext& ctx, const std::string& name, const Json& mixer,
                                const char* position) const {
  TrainOptions options;
  options.steps = ctx.scaled(options_.steps), options.rate = 2e-3;
  options.evaluate_batch = 64;
  auto spec =
      small_spec("decoder", 64, 2, {{"mixer", mixer}, {"channel", {{"type", "mlp"}, {"hidden", 256}}}});
  spec.model.options["position"] = position;
  return ctx.trained(name, spec, shakespeare(ctx, kWindowLength), options);
}

// The loss on the first `samples` rows whose positions begin again after those of training.
double wrapped_loss(Model& model, const Task& task, int64_t samples) {
  const at::NoGradGuard guard;
  Sums sums;
  constexpr int64_t kBatch = 32;
  for (int64_t first = 0; first < samples; first += kBatch) {
    auto batch = task.evaluation_batch(std::min(kBatch, samples - first), first / kBatch);
    const auto& ids = batch.inputs.at("input_ids");
    batch.inputs["position_ids"] =
        at::arange(ids.size(1), at::kLong).remainder(kWindowLength).expand(ids.sizes());
    auto ctx = model.make_context();
    task.measure(model.forward(ctx, batch.inputs), batch, sums);
  }
  return task.metrics(sums).value("loss");
}

// Losses on rows as long as those of training and on longer ones.
Json losses(StudyContext& ctx, const Trained& trained, bool wrap) {
  auto longer = Registry<Task>::make(shakespeare(ctx, kWindowLong));
  longer->prepare(trained.model->inventory().spec.meta);
  constexpr int64_t kRows = 128;
  return {{"short", evaluated(ctx, *trained.model, *trained.task, 512, "loss")},
          {"long", wrap ? wrapped_loss(*trained.model, *longer, ctx.scaled(kRows, 4))
                        : evaluated(ctx, *trained.model, *longer, kRows, "loss")}};
}

std::vector<Claim> ModuleFormerStudy::positions(StudyContext& ctx) const {
  const auto measured = [&](const std::string& name, const Json& mixer, const char* position) {
    const auto trained = text(ctx, "text-" + name, mixer, position);
    return ctx.stage("evaluate " + name, {{"model", trained.key}},
                     [&] { return losses(ctx, trained, position == std::string("learned")); });
  };
  const Json softmax = {{"type", "attention"}, {"heads", 4}, {"position", "none"}};
  const auto sticks =
      measured("stick-breaking", {{"type", "stick_breaking"}, {"modules", 1}, {"heads", 4}}, "none");
  const auto bare = measured("softmax", softmax, "none");
  const auto learned = measured("softmax-learned", softmax, "learned");
  const double loss = number(sticks, "short");
  const auto rise = [](const Json& found) { return number(found, "long") - number(found, "short"); };
  return {at_least("loss, softmax without positions less stick-breaking", "not given",
                   number(bare, "short") - loss, 0.2),
          at_least("loss, softmax with learned positions less stick-breaking", "not given",
                   number(learned, "short") - loss, 0.1),
          at_most("rise of the loss, stick-breaking on rows of 256 after 64", "long contexts need no change",
                  rise(sticks), 0.1),
          below("rise on rows of 256, stick-breaking less learned positions (wrapped)", "not given",
                rise(sticks) - rise(learned), 0),
          reported("rise of the loss, softmax without positions on rows of 256 after 64", "not given",
                   rise(bare))};
}

std::vector<Claim> ModuleFormerStudy::run(StudyContext& ctx) {
  auto claims = positions(ctx);
  for (auto& claim : module_claims(ctx, options_)) claims.push_back(std::move(claim));
  return claims;
}

FORMWORK_PART(Study, ModuleFormerStudy, "moduleformer",
              "stick-breaking attention against softmax; modules over two domains of text");

}  // namespace
}  // namespace formwork
