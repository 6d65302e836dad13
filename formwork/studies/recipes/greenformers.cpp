// Greenformers (Cahyawijaya, 2021): low-rank maps save time on short rows, Linformer on long ones; low-rank
// maps by design learn nearly as well as full ones; and a trained model survives factorization by its
// singular vectors.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/low_rank_costs.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

class GreenformersStudy final : public Study {
 public:
  struct Options {
    int64_t steps = 400, seeds = 3, rounds = 5;
    double rank = 0.5;
    Emissions emissions;
    void describe(Fields& f) {
      f.integer("steps", steps, "updates of each model", 1, 1000000);
      f.integer("seeds", seeds, "models of each kind, of which the mean counts", 1, 100);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
      f.number("watts", emissions.watts, "average power in training, to estimate what it emits; 0: not known",
               0, 1e9);
      f.number("pounds_per_kwh", emissions.pounds_per_kwh, "CO2 of the grid", 0, 100);
      f.number("rank", rank, "share of the rank that saves nothing, after training", 0.01, 0.99);
    }
  };
  explicit GreenformersStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Trained classifier(StudyContext& ctx, int64_t seed, bool low_rank) const;
  Options options_;
};

constexpr int64_t kEncoderWidth = 64;

Trained GreenformersStudy::classifier(StudyContext& ctx, int64_t seed, bool low_rank) const {
  auto spec = small_spec("encoder", kEncoderWidth, 2,
                         {{"mixer", {{"type", "attention"}, {"heads", 4}, {"fused", false}}},
                          {"channel", {{"type", "mlp"}, {"hidden", 4 * kEncoderWidth}}}});
  spec.model.options["position"] = "learned";
  if (low_rank) spec.linear["layers.*"] = {{"type", "low_rank"}, {"rank", kEncoderWidth / 4}};
  TrainOptions options;
  options.steps = ctx.scaled(options_.steps), options.rate = 1e-3;
  options.seed = seed;
  return ctx.trained(fmt::format("{}-{}", low_rank ? "sst2-low-rank" : "sst2-full", seed), spec,
                     sentiment(ctx), options);
}

std::vector<Claim> GreenformersStudy::run(StudyContext& ctx) {
  const int64_t seeds = options_.seeds;
  const auto accuracy = [&](const Trained& trained, Model& model) {
    return evaluated(ctx, model, *trained.task, 872, "accuracy");
  };
  std::map<std::string, double> mean;
  for (int64_t seed = 0; seed < seeds; ++seed) {
    const auto full = classifier(ctx, seed, false), low = classifier(ctx, seed, true);
    const Json settings = {{"full", full.key}, {"low", low.key}, {"rank", options_.rank}};
    const auto found = ctx.stage(fmt::format("factorize and evaluate, seed {}", seed), settings, [&] {
      Json row = {{"full", accuracy(full, *full.model)}, {"low rank", accuracy(low, *low.model)}};
      for (const char* solver : {"svd", "snmf", "random"}) {
        const auto made =
            transformed(full.model, "greenformers", {{"rank", options_.rank}, {"solver", solver}}, {}).model;
        row[solver] = accuracy(full, *made);
      }
      return row;
    });
    for (const auto& [name, value] : found.items())
      mean[name] += number(found, name) / static_cast<double>(seeds);
  }
  auto claims = low_rank_cost_claims(ctx, options_.rounds, options_.emissions);
  const std::vector<Claim> learned = {
      at_most("accuracy, full less low rank by design", "small", mean["full"] - mean["low rank"], 0.03),
      at_most("loss of accuracy, svd less snmf", "svd is best", mean["snmf"] - mean["svd"], 0.01),
      at_least("accuracy, svd above random factors", "above 0", mean["svd"] - mean["random"], 1e-9),
      reported("accuracy, full", "not given", mean["full"]),
      reported("accuracy, factorized after training", "not given", mean["svd"])};
  claims.insert(claims.end(), learned.begin(), learned.end());
  return claims;
}

FORMWORK_PART(Study, GreenformersStudy, "greenformers",
              "low rank against Linformer over lengths, and by design and after training on SST-2");

}  // namespace
}  // namespace formwork
