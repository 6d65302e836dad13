// A subject of the conformance suites: a registered part inside a small Spec, and how to run it.
#pragma once
#include <ostream>

#include "formwork/core/options.h"
#include "formwork/models/model.h"

namespace formwork::conformance {

struct Subject {
  std::string label;  // "mixers/attention 2 causal"
  Json spec;
  std::map<std::string, std::string> without;
};
inline void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.spec.dump(); }

// Every registered part: alone, and positions, scores, activations, norms and linear maps also inside the
// parts that use them.
std::vector<Subject> subjects();

// A built subject with parameters away from their special values (zeros, ones), in float64.
std::shared_ptr<Model> make(const Json& spec, at::ScalarType dtype = at::kDouble);

constexpr int64_t kWidth = 8, kMemoryWidth = 6;
// Adds the memory that the Spec asks for, one row for each row of x.
Record record(const Model& model, const Tensor& x);
Tensor run(Model& model, const Record& in);
inline double gap(const Tensor& a, const Tensor& b) {
  return a.numel() ? (a - b).abs().max().item<double>() : 0;
}

}  // namespace formwork::conformance
