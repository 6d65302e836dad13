// A subject of the conformance suites: a registered part alone or inside what uses it, or a whole model, in a
// small Spec, and how to run it.
#pragma once
#include <ostream>

#include "formwork/core/options.h"
#include "formwork/models/model.h"

namespace formwork::conformance {

struct Subject {
  std::string label;  // "mixers/attention/2/causal"
  Json spec;
  std::map<std::string, std::string> without;  // suite -> reason
  // Of the record, whose tokens a suite cuts and masks: x of a part, input_ids or input_features; or images.
  std::string field = "x";
  std::string output = "y";  // the field that is looked at
  bool per_token = true;     // it has an entry for each token

  bool is_part() const { return field == "x"; }
  // Before the name of a field that goes with `field`: "decoder_" of "decoder_input_ids".
  std::string with(const std::string& name) const;
};
inline void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.spec.dump(); }

// Every registered part alone; positions, scores, activations and linear maps also inside the parts that use
// them.
std::vector<Subject> part_subjects();
// Every registered model; a decoder or encoder for every mixer, position and head.
std::vector<Subject> model_subjects();
std::vector<Subject> subjects();  // both

// A built subject with parameters away from their special values (zeros, ones).
std::shared_ptr<Model> make(const Json& spec, at::ScalarType dtype = at::kDouble);

constexpr int64_t kWidth = 8, kMemoryWidth = 6, kVocab = 13;

// A record of random tokens, with whatever else the subject reads (another stream, a source with padding).
Record inputs(const Subject& subject, int64_t rows, int64_t tokens, at::ScalarType dtype = at::kDouble);
// Rows of every field; tokens [start, start + n) of `field` alone.
Record take_rows(const Record& in, const std::vector<int64_t>& rows);
Record take_tokens(const Subject& subject, const Record& in, int64_t start, int64_t n);

// The output, by model.forward: the one field of the record, or that which the Spec's meta names as "output".
Tensor run(Model& model, const Record& in);
Tensor only(const Model& model, const Record& out);

inline double gap(const Tensor& a, const Tensor& b) {
  return a.numel() ? (a - b).abs().max().item<double>() : 0;
}

}  // namespace formwork::conformance
