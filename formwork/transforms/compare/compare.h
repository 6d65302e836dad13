// Compares models with an original on one task: quality on the same samples, size as saved, speed in
// interleaved rounds.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/tasks/task.h"
#include "formwork/transforms/transform.h"

namespace formwork {

struct Candidate {
  std::string method;
  Json options = Json::object();
  std::shared_ptr<Model> model;  // null: could not be made
  std::string reason;            // why not
  double seconds = 0;            // that the transform took
};

struct CompareOptions {
  int64_t samples = 64, batch = 16, repeats = 5, decode_tokens = 32;
  void describe(Fields& f) {
    f.integer("samples", samples, "evaluation samples, the same for every model; 0: all");
    f.integer("batch", batch, "rows of a batch", 1, 1 << 16);
    f.integer("repeats", repeats, "rounds of the speed measurements, of which the median counts", 1, 1000);
    f.integer("decode_tokens", decode_tokens, "tokens decoded in a round", 1, 1 << 16);
  }
};

// Every registered transform at each of its budgets. One that changes nothing is an error, one that does not
// apply a candidate with its reason.
std::vector<Candidate> make_candidates(const std::shared_ptr<Model>& model, const Calibration& data,
                                       const std::vector<std::string>& methods);

// One row a candidate, the original first: loss, KL divergence to the original and share of equal top-1
// tokens (each with its standard error over samples), bytes on disk, FLOPs a token, prefill and decode
// tokens/s, front.
std::vector<Json> compare(const std::shared_ptr<Model>& original, std::vector<Candidate> candidates,
                          Task& task, const CompareOptions& options);

}  // namespace formwork
