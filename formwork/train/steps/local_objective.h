// What trains a module that is not the last: how well its input can be made out of its output, and a task
// term of a head of its own,
//
//   L = a R + b C;   R = |D(h) - t|^2 with t = norm(read), or the cross-entropy of sigmoid D(h) with pixels
//
// where h is the module's output, `read` what the module read, held fixed, D a reconstructor, and C the
// task's objective of a head on h or a supervised contrastive loss of its embedding.
#pragma once
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/train/steps/local_modules.h"

namespace formwork {

struct LocalObjectiveOptions {
  std::string target = "features", target_norm = "token", objective = "ce";
  PartSpec reconstructor = "linear", head = "conv_classifier";
  double reconstruct_first = 1, reconstruct_last = 1, task_first = 1, task_last = 1, temperature = 0.07;
  void describe(Fields& f) {
    f.choice("target", target, {"features", "image", "none"},
             "what a module's output must give back: what the module read, the image, or nothing (greedy)");
    f.choice("target_norm", target_norm, {"token", "none"},
             "features: each token of the target scaled to mean 0 and variance 1, or as it is");
    f.part("reconstructor", reconstructor, "reconstructors", "what gives it back");
    f.choice("objective", objective, {"ce", "contrast"},
             "task term: the task's objective of a head, or a supervised contrastive loss of its embedding");
    f.part("head", head, "heads", "the head of the task term");
    f.number("reconstruct_first", reconstruct_first, "weight of the reconstruction in the first module", 0,
             1e6);
    f.number("reconstruct_last", reconstruct_last, "the same in the last but one; linear in between", 0, 1e6);
    f.number("task_first", task_first, "weight of the task term in the first module", 0, 1e6);
    f.number("task_last", task_last, "the same in the last but one; linear in between", 0, 1e6);
    f.number("temperature", temperature, "of the contrastive loss", 1e-3, 1e3);
  }
  // Weights (a, b) of module k of K, k from 0 to K - 2.
  std::pair<double, double> weights(int64_t k, int64_t modules) const;
};

// What a module should give back: tokens [B, T, D], or pixels in [0, 1].
struct LocalTarget {
  Tensor x;
  Layout layout;
  bool pixels = false;
};

// What the first module reads: pixel_values [B, C, H, W], back in [0, 1] by the image_mean and image_std of
// `meta`, as tokens [B, H W, C]; or input_features; or, of token ids, the stream after the stem. Throws for
// pixels outside.
LocalTarget input_target(const Record& in, const Stream& stem, const Json& meta);

// Where a module stands: the borders that it lies between.
struct LocalPlace {
  int64_t module = 0;        // from 0
  LocalBorder read, output;  // read: of what is to be given back
  bool last_stage = false;   // the map does not change after it
};

class LocalObjective {
 public:
  struct Terms {
    double reconstruction = 0, task = 0;  // not weighted
  };
  LocalObjective(const Build& root, const TrainingRun& run, const LocalObjectiveOptions& options,
                 const LocalPlace& place, std::pair<double, double> weights);

  bool reconstructs() const { return reconstructor_ != nullptr; }
  // The loss of a part that has `share` of a batch of `targets`; ctx in the pass, `output` after the module.
  Tensor loss(Context& ctx, const Stream& output, const LocalTarget& read, const Batch& part, int64_t targets,
              Terms& terms);

 private:
  void make_head(const Build& root, const LocalPlace& place);
  Tensor reconstruction(Context& ctx, const Stream& output, const LocalTarget& read);
  Tensor task_term(Context& ctx, const Stream& output, const Batch& part, int64_t targets);

  const Task& task_;
  LocalObjectiveOptions options_;
  int64_t module_;
  double reconstruct_, weigh_task_;
  std::unique_ptr<Reconstructor> reconstructor_;
  std::unique_ptr<Head> head_;
};

}  // namespace formwork
