// Text of another kind than the models of the recipes were trained on.
#pragma once
#include "formwork/studies/study.h"
#include "formwork/transforms/transform.h"

namespace formwork {

// The first rows of WikiText-2 (validation) as bytes, without those that Shakespeare does not have; fewer
// where the text ends.
Calibration wikitext_rows(const StudyContext& ctx, int64_t rows, int64_t length);

}  // namespace formwork
