// Compares compressed models with their original on one task: quality on the same samples, size as saved,
// peak memory and speed in interleaved rounds, and which are on the Pareto front.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "formwork/tasks/task.h"
#include "formwork/transforms/compare/candidates.h"
#include "formwork/transforms/compare/work_folder.h"

namespace formwork {

struct CompareOptions {
  int64_t samples = 64, batch = 16, repeats = 5, decode_tokens = 32;
  int64_t recover = 0, recover_seed = 1;
  double recover_rate = 1e-3;
  int64_t samples_of(const Task& task) const {
    const int64_t all = task.evaluation_samples();
    return samples > 0 ? std::min(samples, all) : all;
  }
  void describe(Fields& f) {
    f.integer("samples", samples, "evaluation samples, the same for every model; 0: all");
    f.integer("batch", batch, "rows of a batch", 1, 1 << 16);
    f.integer("repeats", repeats, "rounds of the speed measurements, of which the median counts", 1, 1000);
    f.integer("decode_tokens", decode_tokens, "tokens decoded in a round", 1, 1 << 16);
    f.integer("recover", recover, "steps that each model is trained further, as a row of its own; 0: none", 0,
              1 << 30);
    f.number("recover_rate", recover_rate, "highest learning rate of that training", 0, 1e3);
    f.integer("recover_seed", recover_seed, "of the order of its data");
  }
};

struct CompareInput {
  std::string model;  // folder
  Task& task;         // prepared with the model's meta
  Json task_settings;
  std::vector<std::string> methods;
  CompareOptions options;
  bool quiet = false;  // no progress on stderr
};

// One row a candidate, the original first:
//   method, options, recovered            what was done; recovered counts the steps of further training
//   loss, kl, top-1, ...                  measure_quality
//   bytes, parameters, flops/token        as saved; operations for one token that sees a sample's length
//   prefill tokens/s, decode tokens/s, peak bytes    medians over the rounds (measure_turn)
//   budget, asked, reached                the method's own measure
//   warnings                              of the method, where there are any
//   front                                 on the Pareto front of bytes and loss
//   model, seconds                        where it lies; what compressing or training it took
// or method, options, recovered, reason where a method does not apply. What is finished is kept in `work`
// and found again; a later call with the same input goes on from there.
//
// Throws before the work starts when the task does not fit the model, or when memory or disk are too small
// by estimate; throws when a method changed nothing.
std::vector<Json> compare(const CompareInput& input, const WorkFolder& work);

// Bytes that comparing takes at the worst moment, by estimate: original, copy and result (training adds
// gradients and moments), the logits of both models in their stages for a batch of `tokens`, and the
// calibration's moments.
int64_t estimate_memory(const Model& shapes, int64_t model_bytes, int64_t tokens, int64_t recover);

// The row of least loss with at most `share` of the original's bytes; nothing where there is none.
std::optional<size_t> best_row_of_size(const std::vector<Json>& rows, double share);

// The row on the front with the fewest bytes whose loss is at most the original's plus `margin` (nats);
// nothing where only the original is.
std::optional<size_t> best_small_row(const std::vector<Json>& rows, double margin);

}  // namespace formwork
