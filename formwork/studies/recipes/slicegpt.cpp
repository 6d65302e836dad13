// SliceGPT (Ashkboos et al., 2024): principal components are the directions to delete.
#include "formwork/transforms/factorize/slicegpt.h"

#include "formwork/core/random.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"

namespace formwork {
namespace {

class SliceGptStudy final : public Study {
 public:
  struct Options {
    double sparsity = 0.25;
    int64_t rounds = 7;
    void describe(Fields& f) {
      f.number("sparsity", sparsity, "share of the stream's channels that is deleted", 0.01, 0.9);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
    }
  };
  explicit SliceGptStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Json measure(StudyContext& ctx, const Trained& base) const;
  Json time(StudyContext& ctx) const;
  Options options_;
};

// The model with norms folded away and one stream basis [D, m] for all positions.
std::shared_ptr<Model> with_basis(const std::shared_ptr<Model>& model, const Tensor& basis) {
  const auto untied = with_own_head(model);
  Edit folding(*untied);
  folding.fold_norms();
  const auto folded = folding.finish();
  Edit edit(*folded);
  edit.rotate("residual", basis);
  return edit.finish();
}

// Mean square of each channel over all positions of the stream: [D].
Tensor channel_energy(Model& model, const Calibration& data) {
  Tensor energy;
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context();
    auto streams = model.start(ctx, batch);
    const auto steps = static_cast<int64_t>(model.segments().size());
    for (int64_t i = 0; i <= steps; ++i) {
      const auto here = streams.at("residual").x.to(at::kDouble).square().mean({0, 1});
      energy = energy.defined() ? energy + here : here;
      if (i < steps) model.run(ctx, i, i + 1, streams);
    }
  }
  return energy;
}

// Every basis from what the dense model carries, where the published method takes it from what the model
// carries that is sliced up to there. Each as wide as the stream of `sliced` at its place.
std::shared_ptr<Model> sliced_at_once(const std::shared_ptr<Model>& model, const Model& sliced,
                                      const Calibration& data) {
  SliceGpt::Options options;
  options.sparsity = 0, options.orientation = "pca";
  const SliceGpt whole(options);
  const auto prepared = whole.prepare(model);
  const auto steps = prepared->segments();
  std::vector<Tensor> columns;
  for (const auto& basis : whole.find_bases(*prepared, data)) {
    const auto axis = columns.empty() ? "residual" : steps[columns.size() - 1] + ".stream";
    columns.push_back(basis.vectors.narrow(1, 0, sliced.inventory().axes.at(axis).size));
  }
  return SliceGpt::change_bases(*prepared, columns);
}

Json SliceGptStudy::measure(StudyContext& ctx, const Trained& base) const {
  const at::NoGradGuard guard;
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(64, 2));
  const auto loss = [&](Model& model) { return held_out_loss(ctx, model, *base.task); };
  const auto sliced = [&](double sparsity, bool shared) {
    return transformed(base.model, "slicegpt", {{"sparsity", sparsity}, {"shared_basis", shared}}, data)
        .model;
  };
  const auto principal = sliced(options_.sparsity, false);
  const auto shared = sliced(options_.sparsity, true);
  const int64_t width = base.model->inventory().axes.at("residual").size;
  const int64_t kept = shared->inventory().axes.at("residual").size;
  const auto whole = at::eye(width, at::kDouble);
  const auto order = channel_energy(*base.model, data).argsort(0, /*descending=*/true).narrow(0, 0, kept);
  auto draws = make_stream(ctx.seed(), "slicegpt.random");
  const auto random = std::get<0>(at::linalg_qr(at::empty({width, width}, at::kDouble).normal_(0, 1, draws)))
                          .narrow(1, 0, kept);
  return {{"dense", loss(*base.model)},
          {"rotated", loss(*sliced(0, false))},
          {"principal", loss(*principal)},
          {"shared", loss(*shared)},
          {"at once", loss(*sliced_at_once(base.model, *principal, data))},
          {"channels", loss(*with_basis(base.model, whole.index_select(1, order)))},
          {"random", loss(*with_basis(base.model, random))},
          {"parameters", static_cast<double>(principal->parameter_count()) /
                             static_cast<double>(base.model->parameter_count())}};
}

// Seconds of a pass over 512 tokens of two layers of width 1024 with random weights, dense and sliced. The
// head's input is cut too: with it whole, as published, the last map alone would be a sixth of these two
// layers.
Json SliceGptStudy::time(StudyContext& ctx) const {
  const int64_t width = ctx.scaled(1024, 64), tokens = ctx.scaled(512, 16);
  auto spec = small_spec("decoder", width, 2,
                         {{"mixer", {{"type", "attention"}, {"heads", 16}, {"position", "rotary"}}},
                          {"channel", {{"type", "mlp"}, {"hidden", 4 * width}}}});
  const auto dense = build_model(spec, ctx.seed());
  auto stream = make_stream(ctx.seed(), "slicegpt.rows");
  const Record rows = {{"input_ids", at::empty({1, tokens}, at::kLong).random_(0, 256, stream)}};
  const auto sliced = transformed(dense, "slicegpt", {{"sparsity", options_.sparsity}, {"slice_head", true}},
                                  Calibration{{rows}})
                          .model;
  const auto pass = [&rows](Model& model) {
    const at::NoGradGuard guard;
    auto context = model.make_context();
    model.forward(context, rows);
  };
  const auto seconds = shortest_seconds({[&] { pass(*dense); }, [&] { pass(*sliced); }}, options_.rounds);
  return {{"dense", seconds[0]},
          {"sliced", seconds[1]},
          {"operations", sliced->flops_per_token(tokens) / dense->flops_per_token(tokens)}};
}

std::vector<Claim> SliceGptStudy::run(StudyContext& ctx) {
  const auto base = char_decoder(ctx);
  const Json settings = {{"base", base.key}, {"options", options_json(options_)}};
  const auto found = ctx.stage("slice and evaluate", settings, [&] { return measure(ctx, base); });
  const auto perplexity = [&](const char* name) { return std::exp(number(found, name)); };
  const double dense = perplexity("dense"), principal = perplexity("principal");
  const double rise = principal - dense;
  const auto timed = ctx.stage("time width 1024", settings["options"], [&] { return time(ctx); });
  return {at_most("loss, rotated less dense", "0: rotations change nothing",
                  std::abs(number(found, "rotated") - number(found, "dense")), 1e-4),
          at_most("perplexity, sliced over dense", "99 % of dense accuracy", principal / dense, 1.05),
          below("perplexity, a basis for each position over one for all", "below 1",
                principal / perplexity("shared"), 1),
          at_least("rise of perplexity, random directions over principal ones", "not given",
                   ratio_of_rises(perplexity("random") - dense, rise), 5),
          at_least("rise of perplexity, strongest channels over principal ones", "not given",
                   ratio_of_rises(perplexity("channels") - dense, rise), 5),
          at_most("perplexity, bases one after the other over all at once", "published: one after the other",
                  principal / perplexity("at once"), 1.005),
          at_most("time at width 1024, sliced over dense", "0.64 to 0.66 of compute, LLAMA2-70B on GPUs",
                  number(timed, "sliced") / number(timed, "dense"), 0.95),
          reported("operations at width 1024, sliced over dense", "0.844 of the linear maps of a block",
                   number(timed, "operations")),
          reported("parameters, sliced over dense", "0.844 of a block of 12 D^2 at 25 %",
                   number(found, "parameters")),
          reported("perplexity, dense", "not given", dense)};
}

FORMWORK_PART(Study, SliceGptStudy, "slicegpt",
              "slicing along principal components, against other directions");

}  // namespace
}  // namespace formwork
