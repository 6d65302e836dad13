// What a recipe measured, as a page: each claim with what was published, then the recipe's charts, its
// settings and stages.
#pragma once
#include "formwork/report/page.h"
#include "formwork/studies/claim.h"

namespace formwork {

// The claims under the columns in which they are printed.
Table claims_table(const std::vector<Claim>& claims);

// `facts` as reproduce echoes them: system, recipe, seed, scale, command, machine, seconds, stages, ...
Page claims_page(const Json& facts, const std::vector<Claim>& claims, const std::vector<Chart>& charts);

}  // namespace formwork
