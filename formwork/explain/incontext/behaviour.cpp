// The probe "behaviour": which learner does a model that learns in context behave as, after each number of
// examples? A mean over all of them would hide what happens before there are d.
#include "formwork/explain/incontext/behaviour.h"

#include "formwork/explain/incontext/distances.h"
#include "formwork/explain/probe.h"

namespace formwork {
namespace {

PartSpec learner(const char* type, Json options = Json::object()) { return {type, std::move(options)}; }

// Rows of tokens of all batches as examples; the asked x is the last.
Examples read_all(const std::vector<Record>& batches) {
  std::vector<Tensor> tokens;
  for (const auto& batch : batches) {
    const auto found = batch.find("input_features");
    if (found == batch.end()) fail("behaviour: expected rows of examples (input_features), found other data");
    tokens.push_back(found->second);
  }
  if (tokens.empty()) fail("behaviour: no data was given");
  return read_examples(at::cat(tokens));
}

struct Compared {
  std::string label;
  std::unique_ptr<Learner> learner;
};

class Behaviour final : public Probe {
 public:
  using Options = BehaviourOptions;
  explicit Behaviour(const Options& options) : options_(options) {}
  Json run(Model& model, const std::vector<Record>& batches) const override {
    return behaviour(predictor_of(model), read_all(batches), options_);
  }

 private:
  Options options_;
};

FORMWORK_PART(Probe, Behaviour, "behaviour",
              "which learner a model that learns linear regression in context behaves as");

}  // namespace

std::vector<PartSpec> reference_learners() {
  return {learner("ols"),
          learner("ridge", {{"lambda", 0.1}}),
          learner("ridge", {{"lambda", 0.25}}),
          learner("ridge", {{"lambda", 1}}),
          learner("gd", {{"steps", 1}, {"rate", 0}}),
          learner("gd", {{"steps", 4}, {"rate", 0}}),
          learner("gd", {{"steps", 16}, {"rate", 0}}),
          learner("sgd", {{"rate", 0.02}}),
          learner("knn"),
          learner("knn", {{"weights", "distance"}})};
}

Json behaviour(const Predictor& model, const Examples& examples, const BehaviourOptions& options) {
  const at::NoGradGuard guard;
  const int64_t rows = examples.x.size(0), d = examples.x.size(2), most = examples.x.size(1);
  const auto probes = options.x_scale * fresh_probes(rows, options.probes ? options.probes : 2 * d, d,
                                                     static_cast<uint64_t>(options.seed));
  std::vector<Compared> learners;
  for (const auto& spec : options.learners.empty() ? reference_learners() : options.learners)
    learners.push_back({learner_label(spec), Registry<Learner>::make(spec)});
  Json distances = Json::array();
  for (int64_t n = 0; n < most; ++n) {
    const auto known = examples.first(n);
    const auto asked = at::cat({examples.after(n).unsqueeze(1), probes}, 1);
    const auto split = [&](const Tensor& predictions) {
      return std::pair(predictions.select(1, 0), predictions.narrow(1, 1, probes.size(1)));
    };
    const auto [theirs, at_probes] = split(model(known, asked));
    const auto implicit = implicit_weights(probes, at_probes);
    for (const auto& [label, learner] : learners) {
      const auto [ours, there] = split(learner->predict(known, asked));
      distances.push_back({{"n", n},
                           {"learner", label},
                           {"spd", squared_prediction_difference(theirs, ours)},
                           {"ilwd", implicit_weight_distance(implicit.w, implicit_weights(probes, there).w)},
                           {"r2", implicit.r2}});
    }
  }
  return {{"rows", rows}, {"d", d}, {"distances", std::move(distances)}};
}

}  // namespace formwork
