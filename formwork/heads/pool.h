// One vector for each row of a stream [B, T, D] -> [B, D]; of packed rows [1, N, D] -> [S, D].
#pragma once
#include <string>

#include "formwork/core/context.h"
#include "formwork/core/options.h"

namespace formwork {

// The mean over the real tokens, the first token, or the last real token, as `how` says.
Tensor pool(const Context& ctx, const Tensor& stream, const std::string& how);
// sum_t a_t x_t with a = softmax over the real tokens of scores [B, T, 1].
Tensor pool_by_score(const Context& ctx, const Tensor& stream, const Tensor& scores);
// Token `index` of each row; a row with fewer is an error at `path`.
Tensor token_of_rows(const Context& ctx, const Tensor& stream, int64_t index, const std::string& path);

void describe_pool(Fields& f, std::string& how);

}  // namespace formwork
