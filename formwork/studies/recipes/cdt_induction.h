// The circuit of a trained induction model by contextual decomposition: a decoder of 2 layers, width 64, 4
// heads, on rows that each follow a successor permutation of their own. Prompts are 13 symbols of which the
// last is the fifth again; the answer is what followed the fifth, the foil what followed the second;
// reference rows repeat nothing.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

struct InductionOptions {
  int64_t steps = 2200, prompts = 20, reference = 200, keep = 3, draws = 100;
  void describe(Fields& f) {
    f.integer("steps", steps, "updates of the induction model", 1, 1000000);
    f.integer("prompts", prompts, "prompts of which a circuit is found", 1, 10000);
    f.integer("reference", reference, "rows that means are taken of", 1, 100000);
    f.integer("keep", keep, "nodes that a round keeps", 1, 1000);
    f.integer("draws", draws, "random circuits to compare with", 1, 10000);
  }
};

std::vector<Claim> cdt_induction_claims(StudyContext& ctx, const InductionOptions& options);

}  // namespace formwork
