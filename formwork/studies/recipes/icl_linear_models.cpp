// What learning algorithm is in-context learning? (2023): gradient descent and ridge regression fit into the
// weights of a decoder; trained ones behave as one step of gradient descent when shallow, as least squares
// when deep, and as ridge regression under noise; and their late layers hold X^T y.
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/icl_charts.h"
#include "formwork/studies/recipes/icl_exactness.h"

namespace formwork {
namespace {

constexpr const char* kPublished = "as in the paper's figures, not in numbers";

class IclLinearModels final : public Study {
 public:
  using Options = IclOptions;
  explicit IclLinearModels(const Options& options) : options_(options) {
    if (options.n_max <= options.d + 1)
      fail(
          "icl_linear_models: expected n_max above d + 1 = {}, found {}: the claims are about more than d "
          "examples",
          options.d + 1, options.n_max);
  }
  std::vector<Claim> run(StudyContext& ctx) override {
    std::vector<Claim> claims;
    exactness(ctx, claims);
    depths(ctx, claims);
    noise(ctx, claims);
    readouts(ctx, claims);
    return claims;
  }

 private:
  void exactness(StudyContext& ctx, std::vector<Claim>& claims) const;
  void depths(StudyContext& ctx, std::vector<Claim>& claims) const;
  void noise(StudyContext& ctx, std::vector<Claim>& claims) const;
  void readouts(StudyContext& ctx, std::vector<Claim>& claims) const;

  IclCase clean(int64_t layers) const {
    return {fmt::format("{}-layers", layers), layers, 0, false, options_.steps};
  }
  std::vector<PartSpec> with_own(std::vector<PartSpec> learners) const {
    learners.insert(learners.end(), options_.learners.begin(), options_.learners.end());
    return learners;
  }
  Options options_;
};

void IclLinearModels::exactness(StudyContext& ctx, std::vector<Claim>& claims) const {
  constexpr double kC = 1.0 / 1024, kRidgeC = 1.0 / 65536;
  const auto found = ctx.stage("construct", {{"c", kC}, {"ridge c", kRidgeC}}, [&] {
    Json products = Json::array();
    for (const double c : {1.0 / 8, 1.0 / 16, 1.0 / 32, 1.0 / 64})
      products.push_back({{"c", c}, {"measured", product_error(c, 1)}, {"predicted", 14 * c * c / 12}});
    const auto descent = descent_error(4, kC, ctx.seed());
    const auto ridge = ridge_error(3, 4, kRidgeC, ctx.seed());
    return Json{{"products", products},
                {"wide", product_error(1.0 / 16, 3)},
                {"matrix", matrix_vector_error(4, kC, ctx.seed())},
                {"descent", descent.error},
                {"descent layers", descent.layers},
                {"chain", chain_error(4, 10, 0.1, ctx.seed())},
                {"ridge", ridge.error},
                {"ridge layers", ridge.layers}};
  });
  const auto& products = found.at("products");
  ctx.draw(product_chart(products));
  const double at16 = number(products[1], "measured"), at32 = number(products[2], "measured");
  claims.push_back(at_most("error of x y by GELU on [-1, 1]^2, c = 1/16", "falls as c^2", at16, 5e-3));
  claims.push_back(between("its fall when c is halved", "4", at16 / at32, 3.8, 4.2));
  claims.push_back(
      reported("its growth on [-3, 3]^2", "not given (81 by the next term)", number(found, "wide") / at16));
  claims.push_back(at_most("error of a constructed matrix times a vector, c = 1/1024", "exact",
                           number(found, "matrix"), 1e-3));
  claims.push_back(at_most("error of a constructed step of gradient descent, c = 1/1024", "exact (theorem 1)",
                           number(found, "descent"), 1e-3));
  claims.push_back(reported("layers of that step and its prediction", "constant (theorem 1)",
                            number(found, "descent layers")));
  claims.push_back(at_most("error of ridge regression by updates of the inverse, without a network", "exact",
                           number(found, "chain"), 1e-8));
  claims.push_back(reported("error of constructed ridge regression over 4 examples, d = 3, c = 1/65536",
                            "exact (theorem 2)", number(found, "ridge")));
  claims.push_back(
      reported("its layers", "constant for each example (theorem 2)", number(found, "ridge layers")));
}

const char* const kOls = "ols";
// One step of the rate that is best for it, w = X^T y / (n + d + 1).
const PartSpec one_step{"gd", {{"steps", 1}, {"rate", 0}}};

void IclLinearModels::depths(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto step = learner_label(one_step);
  ByLayers found;
  for (const int64_t layers : {1, 2, 4}) {
    const auto which = clean(layers);
    const auto trained = icl_model(ctx, options_, which);
    found[layers] = icl_behaviour(ctx, options_, trained, which, with_own(reference_learners()));
  }
  ctx.draw(loss_chart(found, options_));
  ctx.draw(depth_chart(found, {kOls, step, learner_label({"ridge", {{"lambda", 0.1}}})}, options_.d));
  ctx.draw(distance_chart(found.at(4), "spd", "4 layers: squared difference of predictions (SPD)"));
  ctx.draw(distance_chart(found.at(4), "ilwd", "4 layers: distance of implicit weights (ILWD)"));
  const auto spd = [&](int64_t layers, const std::string& learner) {
    return mean_distance(found.at(layers), learner, "spd", options_.d);
  };
  claims.push_back(below("SPD of 1 layer, to one step of gradient descent over to least squares",
                         std::string("below 1, ") + kPublished, spd(1, step) / spd(1, kOls), 1));
  claims.push_back(below("SPD of 2 layers, to least squares over to one step of gradient descent",
                         std::string("below 1, ") + kPublished, spd(2, kOls) / spd(2, step), 1));
  claims.push_back(at_most("SPD of 4 layers, to least squares over to one step of gradient descent",
                           "far below 1, the figures show no number", spd(4, kOls) / spd(4, step), 1.0 / 3));
  claims.push_back(
      below("SPD to least squares, 2 layers over 1", "falls with depth", spd(2, kOls) / spd(1, kOls), 1));
  claims.push_back(
      below("SPD to least squares, 4 layers over 2", "falls with depth", spd(4, kOls) / spd(2, kOls), 1));
  for (const auto& [layers, measured] : found)
    for (const auto& learner : {std::string(kOls), step})
      claims.push_back(reported(fmt::format("SPD of {} layer{} to {}, more than d examples", layers,
                                            layers > 1 ? "s" : "", learner),
                                "not given", spd(layers, learner)));
  claims.push_back(reported("ILWD of 4 layers to least squares, more than d examples", "not given",
                            mean_distance(found.at(4), kOls, "ilwd", options_.d)));
  claims.push_back(reported("R^2 of the linear fit to 4 layers, more than d examples", "near 1",
                            mean_distance(found.at(4), kOls, "r2", options_.d)));
}

void IclLinearModels::noise(StudyContext& ctx, std::vector<Claim>& claims) const {
  const double ratio = options_.sigma * options_.sigma / (options_.tau * options_.tau);
  const auto ridge = [](double lambda) { return PartSpec("ridge", {{"lambda", lambda}}); };
  const std::vector<double> factors = {0.125, 0.25, 0.5, 1, 2, 4, 8};
  std::vector<PartSpec> learners = {{kOls}, one_step};
  for (const double factor : factors) learners.push_back(ridge(factor * ratio));
  const IclCase which{"noise", 4, options_.sigma, false, options_.noisy_steps};
  const auto found = icl_behaviour(ctx, options_, icl_model(ctx, options_, which), which, with_own(learners));
  ctx.draw(distance_chart(found, "spd", fmt::format("4 layers, noise {:g}: SPD", options_.sigma)));
  const auto spd = [&](const PartSpec& learner) {
    return mean_distance(found, learner_label(learner), "spd", options_.d);
  };
  double best = 0, least = std::numeric_limits<double>::infinity();
  for (const double factor : factors)
    if (const double here = spd(ridge(factor * ratio)); here < least) least = here, best = factor;
  claims.push_back(at_most("SPD under noise, to ridge with lambda = sigma^2 / tau^2 over to least squares",
                           "far below 1, the figures show no number", spd(ridge(ratio)) / spd({kOls}), 0.5));
  claims.push_back(between("lambda of the nearest ridge over sigma^2 / tau^2, on a grid of powers of 2",
                           "1: best at the matching cell", best, 0.5, 2));
  claims.push_back(reported("SPD under noise to that ridge", "not given", spd(ridge(ratio))));
  claims.push_back(reported("SPD under noise to least squares", "not given", spd({kOls})));
}

void IclLinearModels::readouts(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto which = clean(4);
  IclCase control{"control", 4, 0, true, options_.control_steps};
  const auto trained = icl_model(ctx, options_, which), same = icl_model(ctx, options_, control);
  std::map<std::string, Json> found;
  for (const char* target : {"moment", "weights"})
    for (const char* head : {"mlp", "linear"})
      found[fmt::format("{} by {}", target, head)] =
          icl_readouts(ctx, options_, trained, which, head, target);
  found["moment by mlp, control"] = icl_readouts(ctx, options_, same, control, "mlp", "moment");
  ctx.draw(readout_chart(found));
  const auto& moment = found.at("moment by mlp");
  const auto& other = found.at("moment by mlp, control");
  const auto error = [](const Json& layers, size_t from_end) {
    return number(layers[layers.size() - 1 - from_end], "error");
  };
  const auto late = [&](const Json& layers) { return std::max(error(layers, 0), error(layers, 1)); };
  claims.push_back(
      below("error of X^T y by an MLP at the last two layers (the larger), over that at the embedding",
            "below 1: the late layers encode it", late(moment) / number(moment[0], "error"), 1));
  claims.push_back(
      below("the same over that of a model trained with one w", "below 1", late(moment) / late(other), 1));
  for (const char* target : {"moment", "weights"})
    for (const char* head : {"mlp", "linear"})
      claims.push_back(reported(fmt::format("error of {} at the last layer, {}",
                                            target == std::string("moment") ? "X^T y" : "w", head),
                                "low by an MLP, high by a linear map",
                                error(found.at(fmt::format("{} by {}", target, head)), 0)));
}

FORMWORK_PART(Study, IclLinearModels, "icl_linear_models",
              "constructed learners, which learner trained decoders behave as, and what their layers hold");

}  // namespace
}  // namespace formwork
