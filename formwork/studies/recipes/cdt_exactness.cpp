#include "formwork/studies/recipes/cdt_exactness.h"

#include "formwork/core/facet.h"
#include "formwork/core/random.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"

namespace formwork {
namespace {

constexpr int64_t kTokens = 16, kVocab = 40, kLayers = 4, kWidth = 32;

// With weights away from their first values, so that every term shows.
std::shared_ptr<Model> random_model(StudyContext& ctx, bool gpt, at::ScalarType dtype) {
  auto spec =
      small_spec(gpt ? "decoder" : "encoder", kWidth, kLayers,
                 {{"type", gpt ? "pre" : "post"},
                  {"norm", "layer_norm"},
                  {"mixer", {{"type", "attention"}, {"heads", 4}, {"bias", true}, {"out_bias", true}}},
                  {"channel", "mlp"}});
  auto& options = spec.model.options;
  options["vocab"] = kVocab, options["position"] = {{"type", "learned"}, {"context", kTokens}};
  options["norm"] = gpt ? Json("layer_norm") : Json();
  options["tie"] = false, options["head"] = {{"type", gpt ? "lm" : "masked_lm"}, {"bias", true}};
  auto model = build_model(spec, ctx.seed(), dtype);
  const at::NoGradGuard guard;
  auto generator = make_stream(ctx.seed(), "cdt.weights");
  for (auto& param : model->inventory().params)
    param.value.add_(at::randn(param.value.sizes(), generator, at::kDouble).to(dtype), 0.1);
  return model;
}

struct Gaps {
  double completeness = 0, whole = 0, rest_of_whole = 0, relevant_of_nothing = 0;
};

// Over sources that are random subsets of the tokens, and over all tokens and none.
Gaps gaps_of(StudyContext& ctx, Model& model, int64_t sources, const SplitRules& rules) {
  const at::NoGradGuard guard;
  auto generator = make_stream(ctx.seed(), "cdt.sources");
  const auto ids = at::randint(kVocab, {1, kTokens}, generator, at::kLong);
  auto marks = at::rand({sources + 2, kTokens, 1}, generator, at::kDouble) < 0.5;
  marks[0].fill_(true), marks[1].fill_(false);
  auto pass_ctx = model.make_context();
  const auto stream = model.start(pass_ctx, {{"input_ids", ids}}).at("residual");
  auto plain_ctx = model.make_context();
  const auto logits = model.forward(plain_ctx, {{"input_ids", ids}})["logits"];
  auto& view = require_facet<SplitModelFacet>(model, "model");
  SplitPass pass(pass_ctx, model.inventory(), rules);
  const auto nothing = at::zeros_like(stream.x);
  const auto last = static_cast<int64_t>(model.segments().size());
  const auto y = view.finish(
      pass,
      view.carry(pass, 0, last, {at::where(marks, stream.x, nothing), at::where(marks, nothing, stream.x)}));
  const auto most = [](const Tensor& x) { return x.abs().max().item<double>(); };
  return {most(y.whole() - logits), most(y.relevant[0] - logits[0]), most(y.rest[0]), most(y.relevant[1])};
}

void raise(Gaps& to, const Gaps& by) {
  to.completeness = std::max(to.completeness, by.completeness), to.whole = std::max(to.whole, by.whole);
  to.rest_of_whole = std::max(to.rest_of_whole, by.rest_of_whole);
  to.relevant_of_nothing = std::max(to.relevant_of_nothing, by.relevant_of_nothing);
}

// Over both models and both ways of attention, with the repair that each was published with.
Gaps worst(StudyContext& ctx, int64_t sources, at::ScalarType dtype, const std::string& bias) {
  Gaps gaps;
  for (const bool gpt : {true, false}) {
    const auto model = random_model(ctx, gpt, dtype);
    for (const char* attention : {"frozen", "split"})
      raise(gaps, gaps_of(ctx, *model, sources, {attention, bias, "remainder", gpt ? "mlp" : "all"}));
  }
  return gaps;
}

// A model that is linear once its norms' deviations and its attention are given: tokens' shares add up.
double linear_gap(StudyContext& ctx) {
  const at::NoGradGuard guard;
  auto spec = small_spec("decoder", kWidth, kLayers,
                         {{"norm", {{"type", "layer_norm"}, {"bias", false}}},
                          {"mixer", {{"type", "attention"}, {"heads", 4}}},
                          {"channel", {{"type", "mlp"}, {"bias", false}, {"activation", "identity"}}}});
  spec.model.options["vocab"] = kVocab, spec.model.options["tie"] = false;
  spec.model.options["norm"] = {{"type", "layer_norm"}, {"bias", false}};
  const auto model = build_model(spec, ctx.seed());
  auto generator = make_stream(ctx.seed(), "cdt.linear");
  const auto ids = at::randint(kVocab, {1, kTokens}, generator, at::kLong);
  auto pass_ctx = model->make_context();
  const auto x = model->start(pass_ctx, {{"input_ids", ids}}).at("residual").x;
  const auto each = at::eye(kTokens, x.options()).unsqueeze(-1);
  auto plain_ctx = model->make_context();
  const auto logits = model->forward(plain_ctx, {{"input_ids", ids}})["logits"];
  auto& view = require_facet<SplitModelFacet>(*model, "model");
  SplitPass pass(pass_ctx, model->inventory(), {});
  const auto last = static_cast<int64_t>(model->segments().size());
  const auto y = view.finish(pass, view.carry(pass, 0, last, {x * each, x * (1 - each)}));
  return (y.relevant.sum(0) - logits[0]).abs().max().item<double>();
}

}  // namespace

std::vector<Claim> cdt_exactness_claims(StudyContext& ctx, int64_t sources) {
  const auto found = ctx.stage("exactness", {{"sources", sources}}, [&] {
    const int64_t count = ctx.scaled(sources, 2);
    const auto single = worst(ctx, count, at::kFloat, "exact"),
               twice = worst(ctx, count, at::kDouble, "exact");
    const auto published = worst(ctx, count, at::kFloat, "published");
    return Json{{"float32", single.completeness},
                {"float64", twice.completeness},
                {"published", published.completeness},
                {"all tokens", single.whole},
                {"rest of all tokens", single.rest_of_whole},
                {"no tokens", single.relevant_of_nothing},
                {"linear", linear_gap(ctx)}};
  });
  const auto gap = [&](const char* name) { return number(found, name); };
  return {below("sides off the logits, float32", "exact", gap("float32"), 1e-4),
          below("sides off the logits, float64", "exact", gap("float64"), 1e-10),
          below("sides off the logits, biases shared as published", "not given", gap("published"), 1e-3),
          below("all tokens as source, off the logits", "not given", gap("all tokens"), 1e-4),
          at_most("rest of all tokens as source", "0", gap("rest of all tokens"), 0),
          at_most("relevant side of no source", "0", gap("no tokens"), 0),
          below("sum over tokens off the logits, linear model", "exact", gap("linear"), 1e-5)};
}

}  // namespace formwork
