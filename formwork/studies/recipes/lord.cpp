// LoRD (Kaushal et al., 2023): low rank by the principal subspace of a map's outputs keeps more than by its
// weight's singular vectors.
#include "formwork/studies/recipes/char_decoder.h"

namespace formwork {
namespace {

class LordStudy final : public Study {
 public:
  struct Options {
    std::vector<double> ratios = {0.2, 0.3};
    void describe(Fields& f) { f.numbers("ratios", ratios, "shares of the parameters that are removed"); }
  };
  explicit LordStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Options options_;
};

Json losses(StudyContext& ctx, const Trained& base, double ratio) {
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(64, 2));
  Json found = {{"dense", held_out_loss(ctx, *base.model, *base.task)}};
  for (const char* basis : {"afm_centred", "afm_uncentred", "svd"}) {
    const auto made = transformed(base.model, "lord", {{"ratio", ratio}, {"basis", basis}}, data).model;
    found[basis] = held_out_loss(ctx, *made, *base.task);
  }
  return found;
}

std::vector<Claim> LordStudy::run(StudyContext& ctx) {
  const auto base = char_decoder(ctx);
  std::vector<Claim> claims;
  for (const double ratio : options_.ratios) {
    const auto found =
        ctx.stage(fmt::format("factorize {:g} and evaluate", ratio), {{"base", base.key}, {"ratio", ratio}},
                  [&] { return losses(ctx, base, ratio); });
    const auto perplexity = [&](const char* name) { return std::exp(number(found, name)); };
    const double dense = perplexity("dense"), outputs = perplexity("afm_centred") - dense;
    claims.push_back(at_most(fmt::format("rise of perplexity at {:g}, by outputs over by weights", ratio),
                             "below 1", ratio_of_rises(outputs, perplexity("svd") - dense), 0.5));
    claims.push_back(reported(fmt::format("rise of perplexity at {:g}, by outputs", ratio),
                              "below 0.01 at 39.58 % less rank, 16B", outputs / dense));
    claims.push_back(reported(fmt::format("rise of perplexity at {:g}, without centring", ratio), "not given",
                              (perplexity("afm_uncentred") - dense) / dense));
  }
  return claims;
}

FORMWORK_PART(Study, LordStudy, "lord", "low rank by outputs, against low rank by weights");

}  // namespace
}  // namespace formwork
