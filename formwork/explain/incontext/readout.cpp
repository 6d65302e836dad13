#include "formwork/explain/incontext/readout.h"

#include "formwork/data/random.h"
#include "formwork/explain/probe.h"
#include "formwork/tasks/regression_task.h"
#include "formwork/train/trainer.h"

namespace formwork {
namespace {

constexpr int64_t kLeastRows = 64;

// Rows of hidden states with their targets; the last quarter evaluates.
class HiddenStates final : public RegressionTask {
 public:
  HiddenStates(Tensor hidden, Tensor targets)
      : hidden_(std::move(hidden)), targets_(std::move(targets)), training_(hidden_.size(0) * 3 / 4) {}

  void prepare(Json&) override {}
  Json model_needs() const override { return Json::object(); }
  void check(const Model&) const override {}
  Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const override {
    Random random{seed, static_cast<uint64_t>(step)};
    std::vector<int64_t> chosen(static_cast<size_t>(rows));
    for (auto& row : chosen) row = random.below(training_);
    const auto index = at::tensor(chosen, at::kLong);
    return {{{"input_features", hidden_.index_select(0, index)}}, targets_.index_select(0, index)};
  }
  int64_t evaluation_samples() const override { return hidden_.size(0) - training_; }
  Batch evaluation_batch(int64_t rows, int64_t index) const override {
    const int64_t first = training_ + index * rows, count = std::min(rows, hidden_.size(0) - first);
    return {{{"input_features", hidden_.narrow(0, first, count)}}, targets_.narrow(0, first, count)};
  }

 private:
  Tensor hidden_, targets_;
  int64_t training_;
};

// A readout as an ordinary model without layers: the stem reads the state.
Spec readout_spec(int64_t width, int64_t outputs, const ReadoutOptions& options) {
  Json head = {{"type", "pooled_regression"}, {"outputs", outputs}};
  if (options.head == "mlp") head["hidden"] = options.hidden;
  Spec spec;
  spec.model = PartSpec("encoder");
  spec.model.options = {{"width", width},
                        {"norm", nullptr},
                        {"stem", {{"type", "linear"}, {"features", width}}},
                        {"head", std::move(head)}};
  return spec;
}

class Readout final : public Probe {
 public:
  struct Options : ReadoutOptions {
    Json tap_names = taps;
    void describe(Fields& f) {
      f.json("taps", tap_names, "names or patterns of the taps to read, a list");
      ReadoutOptions::describe(f);
    }
  };
  explicit Readout(const Options& options) : options_(options) {
    if (!options.tap_names.is_array() || options.tap_names.empty() ||
        !std::all_of(options.tap_names.begin(), options.tap_names.end(),
                     [](const Json& tap) { return tap.is_string(); }))
      fail("probe 'readout': option taps: expected a list of names, found {}", options.tap_names.dump());
    options_.taps = options.tap_names.get<std::vector<std::string>>();
  }

  Json run(Model& model, const std::vector<Record>& batches) const override {
    std::vector<Tensor> tokens;
    for (const auto& batch : batches) {
      const auto found = batch.find("input_features");
      if (found == batch.end()) fail("readout: expected rows of examples (input_features), found other data");
      tokens.push_back(found->second);
    }
    const auto targets = readout_targets(at::cat(tokens), options_.target);
    Json layers = Json::array();
    for (const auto& [tap, hidden] : hidden_states(model, batches, options_.taps))
      layers.push_back({{"tap", tap}, {"error", readout_error(hidden, targets, options_)}});
    return {{"rows", targets.size(0)}, {"layers", std::move(layers)}};
  }

 private:
  Options options_;
};

FORMWORK_PART(Probe, Readout, "readout",
              "whether X^T y or w can be read off the hidden states of a model that learns in context");

}  // namespace

std::vector<std::pair<std::string, Tensor>> hidden_states(Model& model, const std::vector<Record>& batches,
                                                          const std::vector<std::string>& taps) {
  const at::NoGradGuard guard;
  std::vector<std::string> order;
  std::map<std::string, std::vector<Tensor>> seen;
  auto board = model.make_board();
  for (const auto& pattern : taps)
    board.read(pattern, [&](const TapEvent& event, const Tensor& x) {
      if (event.visit > 0) return;
      if (!seen.count(event.name)) order.push_back(event.name);
      seen[event.name].push_back(x.to(at::kFloat));
    });
  for (const auto& batch : batches) {
    auto ctx = model.make_context(&board);
    model.forward(ctx, batch);
  }
  std::vector<std::pair<std::string, Tensor>> states;
  for (const auto& name : order) {
    if (seen[name][0].dim() != 3)
      fail("readout: tap '{}' delivers {} dimensions; expected hidden states [B, T, D]", name,
           seen[name][0].dim());
    states.emplace_back(name, at::cat(seen[name]));
  }
  return states;
}

Tensor readout_targets(const Tensor& tokens, const std::string& target) {
  const auto examples = read_examples(tokens);
  const auto known = examples.first(examples.known());
  if (target == "moment") return at::einsum("bnd,bn->bd", {known.x, known.y}).to(at::kFloat);
  const auto learner = Registry<Learner>::make("ols");
  return dynamic_cast<const LinearLearner&>(*learner).weights(known).to(at::kFloat);
}

double readout_error(const Tensor& hidden, const Tensor& targets, const ReadoutOptions& options) {
  if (hidden.size(0) < kLeastRows)
    fail("readout: expected at least {} rows to train and measure on, found {}", kLeastRows, hidden.size(0));
  // States of any size train alike when each channel has mean 0 and deviation 1, as have the targets
  // together.
  const auto states = (hidden - hidden.mean(at::IntArrayRef{0, 1}, true)) /
                      hidden.std(at::IntArrayRef{0, 1}, /*unbiased=*/false, true).clamp_min(1e-6);
  const auto centred = targets - targets.mean(0, true);
  const double spread = centred.square().sum(-1).mean().item<double>();
  if (!(spread > 0)) fail("readout: the target is the same in every row");
  HiddenStates task(states, centred / std::sqrt(spread));
  TrainOptions training;
  training.steps = options.steps, training.batch = options.batch, training.seed = options.seed;
  training.rate = options.rate, training.quiet = true, training.evaluate_batch = 1024;
  training.optimizer.options = {{"decay", 0}};
  auto model = build_model(readout_spec(hidden.size(2), targets.size(1), options),
                           static_cast<uint64_t>(options.seed));
  const at::AutoGradMode gradients(true);
  return train(*model, task, training).evaluation.loss;
}

}  // namespace formwork
