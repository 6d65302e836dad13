// Models that learn linear regression in context, and what the recipe about them measures of each.
#pragma once
#include "formwork/data/generated/linear_regression.h"
#include "formwork/explain/incontext/behaviour.h"
#include "formwork/explain/incontext/readout.h"
#include "formwork/studies/study.h"

namespace formwork {

struct IclOptions {
  int64_t d = 4, n_max = 10, width = 64, heads = 4, head_width = 0;
  int64_t steps = 8000, noisy_steps = 4000, control_steps = 2000, batch = 64;
  double rate = 5e-4, sigma = 0.5, tau = 1;
  std::string norm_style = "pre";
  std::vector<PartSpec> learners;
  int64_t rows = 1024, readout_rows = 4096, readout_steps = 1500;
  void describe(Fields& f) {
    f.integer("d", d, "dimension of x", 1, 1 << 10);
    f.integer("n_max", n_max, "examples of a row", 2, 1 << 12);
    f.integer("width", width, "channels of the stream", 1, 1 << 16);
    f.integer("heads", heads, "attention heads", 1, 1 << 10);
    f.integer("head_width", head_width,
              "channels of a head; 0: width / heads. The released code has width / heads^2", 0, 1 << 16);
    f.choice("norm_style", norm_style, {"pre", "trunk"},
             "where the norms lie; trunk: on the stream itself, as in the released code");
    f.integer("steps", steps, "updates of each model without noise", 1, 1 << 30);
    f.integer("noisy_steps", noisy_steps, "updates of the model with noise", 1, 1 << 30);
    f.integer("control_steps", control_steps, "updates of the control, whose w is always the same", 1,
              1 << 30);
    f.integer("batch", batch, "rows of an update", 1, 1 << 20);
    f.number("rate", rate, "highest learning rate", 0, 1);
    f.number("sigma", sigma, "standard deviation of the noise of the model with noise", 1e-6, 1e3);
    f.number("tau", tau, "standard deviation of each weight", 1e-6, 1e3);
    f.parts("learners", learners, "learners", "more to compare with, beside those that the claims are about");
    f.integer("rows", rows, "rows that behaviour is measured on", 1, 1 << 20);
    f.integer("readout_rows", readout_rows, "rows that readouts are trained and measured on", 64, 1 << 20);
    f.integer("readout_steps", readout_steps, "updates of each readout", 1, 1 << 20);
  }
};

// Layers, noise, and whether w is the same in every row.
struct IclCase {
  std::string name;
  int64_t layers = 4;
  double sigma = 0;
  bool fixed_w = false;
  int64_t steps = 1;
};

Trained icl_model(StudyContext& ctx, const IclOptions& options, const IclCase& which);

// Rows of tau and sigma that no training saw.
Examples icl_examples(const StudyContext& ctx, const IclOptions& options, double sigma, int64_t rows);

// The probe's "distances" to the learners, and "loss": the model's squared error after n examples, by n.
Json icl_behaviour(StudyContext& ctx, const IclOptions& options, const Trained& trained, const IclCase& which,
                   const std::vector<PartSpec>& learners);

// A readout's error at each tap, in order: [{"tap", "error"}].
Json icl_readouts(StudyContext& ctx, const IclOptions& options, const Trained& trained, const IclCase& which,
                  const std::string& head, const std::string& target);

// The mean of `field` over the numbers of examples above `above`.
double mean_distance(const Json& found, const std::string& learner, const std::string& field, int64_t above);

}  // namespace formwork
