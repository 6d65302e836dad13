// Two domains of text for studies of modules: Shakespeare, and Python programs (the prompts and solutions of
// HumanEval). Files of one domain keep their last tenth for evaluation.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

struct TwoDomains {
  PartSpec shakespeare, code;
  PartSpec both;  // to train on: as much of the one as of the other
};

// Text tasks over rows of `length` bytes. The texts of programs are written into the cache.
TwoDomains two_domains(const StudyContext& ctx, int64_t length);

}  // namespace formwork
