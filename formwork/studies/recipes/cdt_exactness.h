// That contextual decomposition is exact, on random models: 4 layers of width 32 like GPT (pre-norm, causal)
// and like BERT (post-norm), with biases.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

std::vector<Claim> cdt_exactness_claims(StudyContext& ctx, int64_t sources);

}  // namespace formwork
