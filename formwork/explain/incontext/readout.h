// What can be read off the hidden states of a model: for each tap a readout of its own, a regression of rows
// whose tokens are pooled by learned scores (heads/pooled_regression.cpp), is trained on some rows and
// measured on others. The model is not changed.
#pragma once
#include "formwork/explain/incontext/learner.h"
#include "formwork/models/model.h"

namespace formwork {

struct ReadoutOptions {
  std::vector<std::string> taps = {"embed.out_stream", "layers.*.channel.stream"};
  std::string target = "moment", head = "mlp";
  int64_t hidden = 64, steps = 1000, batch = 64, seed = 0;
  double rate = 2e-3;
  void describe(Fields& f) {
    f.choice("target", target, {"moment", "weights"}, "X^T y, or w of least squares");
    f.choice("head", head, {"mlp", "linear"}, "what reads the pooled state");
    f.integer("hidden", hidden, "units of the MLP", 1, 1 << 16);
    f.integer("steps", steps, "updates of each readout", 1, 1 << 30);
    f.integer("batch", batch, "rows of an update", 1, 1 << 20);
    f.number("rate", rate, "highest learning rate; falls along a cosine", 0, 1e3);
    f.integer("seed", seed, "of weights and of the order of rows");
  }
};

// The state at every delivered tap that matches, by name in the order of delivery: [N, T, D] each. The first
// visit counts.
std::vector<std::pair<std::string, Tensor>> hidden_states(Model& model, const std::vector<Record>& batches,
                                                          const std::vector<std::string>& taps);

// Targets [N, d] of tokens [N, T, d + 1]: X^T y or the weights of least squares of the examples that are
// known.
Tensor readout_targets(const Tensor& tokens, const std::string& target);

// E |prediction - t|^2 / E |t - mean t|^2 over the last quarter of rows, by a readout that was trained on the
// others: 0 where the target is there, 1 where nothing is known of it.
double readout_error(const Tensor& hidden, const Tensor& targets, const ReadoutOptions& options);

}  // namespace formwork
