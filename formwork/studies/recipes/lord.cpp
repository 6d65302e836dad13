// LoRD (Kaushal et al., 2023): low rank by the principal subspace of a map's outputs keeps more than by its
// weight's singular vectors; ranks by type from a scan keep no less than the same share of every map.
#include "formwork/core/random.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/other_text.h"
#include "formwork/studies/recipes/timing.h"

namespace formwork {
namespace {

class LordStudy final : public Study {
 public:
  struct Options {
    std::vector<double> ratios = {0.2, 0.3};
    int64_t rounds = 7;
    void describe(Fields& f) {
      f.numbers("ratios", ratios, "shares of the parameters that are removed");
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
    }
  };
  explicit LordStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Json times(StudyContext& ctx, double ratio) const;
  Options options_;
};

constexpr int64_t kTextRows = 64, kTextLength = 128;

Json losses(StudyContext& ctx, const Trained& base, double ratio) {
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(kTextRows, 2));
  const auto loss = [&](const Json& options, const Calibration& calibration) {
    return held_out_loss(ctx, *transformed(base.model, "lord", options, calibration).model, *base.task);
  };
  Json found = {{"dense", held_out_loss(ctx, *base.model, *base.task)}};
  Json options = {{"ratio", ratio}, {"allocation", "uniform"}};
  for (const char* basis : {"afm_centred", "afm_uncentred", "svd"}) {
    options["basis"] = basis;
    found[basis] = loss(options, data);
  }
  found["other text"] = loss({{"ratio", ratio}, {"allocation", "uniform"}},
                             wikitext_rows(ctx, ctx.scaled(kTextRows, 2), kTextLength));
  found["scan"] = loss({{"ratio", ratio}, {"allocation", "scan"}}, data);
  return found;
}

// Seconds of an MLP from 1024 to 4096 channels and back over 64 tokens, dense and in pairs of thin maps.
Json LordStudy::times(StudyContext& ctx, double ratio) const {
  const int64_t width = ctx.scaled(1024, 64);
  const auto rank = static_cast<int64_t>((1 - ratio) * 0.8 * static_cast<double>(width));
  Spec spec;
  spec.model = PartSpec("part");
  spec.model.options = {
      {"kind", "channels"}, {"part", {{"type", "mlp"}, {"hidden", 4 * width}}}, {"width", width}};
  const auto dense = build_model(spec, 0);
  spec.linear["*"] = {{"type", "low_rank"}, {"rank", rank}};
  const auto thin = build_model(spec, 0);
  auto stream = make_stream(ctx.seed(), "lord.rows");
  const Record rows = {{"x", at::empty({1, 64, width}).normal_(0, 1, stream)}};
  const auto pass = [&rows](Model& model) {
    const at::NoGradGuard guard;
    auto context = model.make_context();
    model.forward(context, rows);
  };
  const auto seconds = shortest_seconds({[&] { pass(*dense); }, [&] { pass(*thin); }}, options_.rounds);
  return {{"dense", seconds[0]}, {"thin", seconds[1]}};
}

std::vector<Claim> LordStudy::run(StudyContext& ctx) {
  const auto base = char_decoder(ctx);
  std::vector<Claim> claims;
  for (const double ratio : options_.ratios) {
    const auto found =
        ctx.stage(fmt::format("factorize {:g} and evaluate", ratio), {{"base", base.key}, {"ratio", ratio}},
                  [&] { return losses(ctx, base, ratio); });
    const auto timed =
        ctx.stage(fmt::format("time {:g}", ratio), {{"ratio", ratio}, {"options", options_json(options_)}},
                  [&] { return times(ctx, ratio); });
    const auto perplexity = [&](const char* name) { return std::exp(number(found, name)); };
    const double dense = perplexity("dense"), outputs = perplexity("afm_centred") - dense;
    const auto rise = [&](const char* name) { return (perplexity(name) - dense) / dense; };
    claims.push_back(at_most(fmt::format("rise of perplexity at {:g}, by outputs over by weights", ratio),
                             "below 1", ratio_of_rises(outputs, perplexity("svd") - dense), 0.5));
    claims.push_back(at_most(fmt::format("perplexity at {:g}, ranks from a scan over equal shares", ratio),
                             "ranks follow a scan", perplexity("scan") / perplexity("afm_centred"), 1.005));
    claims.push_back(at_most(fmt::format("time of two maps of 1024 x 4096 at {:g}, thin over dense", ratio),
                             "22.35 % faster at most", number(timed, "thin") / number(timed, "dense"),
                             1 - ratio + 0.15));
    claims.push_back(reported(fmt::format("rise of perplexity at {:g}, by outputs", ratio),
                              "below 0.01 at 39.58 % less rank, 16B", rise("afm_centred")));
    claims.push_back(reported(fmt::format("rise of perplexity at {:g}, without centring", ratio), "not given",
                              rise("afm_uncentred")));
    claims.push_back(reported(fmt::format("rise of perplexity at {:g}, calibrated on WikiText-2", ratio),
                              "calibrated on the code that it is for", rise("other text")));
  }
  return claims;
}

FORMWORK_PART(Study, LordStudy, "lord", "low rank by outputs, against low rank by weights");

}  // namespace
}  // namespace formwork
