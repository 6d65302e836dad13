// What is finished of a comparison: rows, models and rounds of measurement, found again by all that decides
// them: the contents of the model and of the data, method, options, task, settings, and the program itself.
#pragma once
#include <optional>
#include <vector>

#include "formwork/transforms/compare/compare.h"

namespace formwork {

class Ledger {
 public:
  Ledger(const CompareInput& input, const Calibration& data, const WorkFolder& work);

  // Where a candidate's model is kept; the original's is the input.
  std::filesystem::path model_folder(const Candidate& candidate) const;
  // The candidate's finished row; nothing when its model is gone.
  std::optional<Json> row(const Candidate& candidate) const;
  void keep_row(const Candidate& candidate, const Json& row) const;
  // Finished rounds over just these candidates, an array; at most as many as are asked for.
  Json rounds(const std::vector<Candidate>& made) const;
  void keep_rounds(const std::vector<Candidate>& made, const Json& rounds) const;
  bool is_finished(const std::vector<Candidate>& plan) const;

 private:
  Json identity(const Candidate& candidate) const;
  Json rounds_identity(const std::vector<Candidate>& made) const;

  const CompareInput& input_;
  const WorkFolder& work_;
  Json base_;  // what all identities have
};

// Whether a row has a model that was measured.
inline bool is_made(const Json& row) { return !row.contains("reason"); }
// A candidate trained further is not tried when the one that it starts from (the row before it) could not be
// made.
inline bool is_tried(const Candidate& candidate, const Json& row_before) {
  return candidate.recover == 0 || is_made(row_before);
}

}  // namespace formwork
