// y = x W^T + b by integer products, differentiable by x, b and, in training, W. Columns of x that reach the
// threshold in some row (the set O) are multiplied in float, the others as codes with exact integer sums:
//
//   y = (C_x C_W^T) s_x s_W / 127^2 + x[:, O] W'[:, O]^T + b,   O = {i : |x[n, i]| >= threshold for some n}
//
// with the terms of the zero points where the scheme has them. W' is the dequantized weight or a float16
// copy. A row of x that is not finite gives a row of NaN (in tensor-wise schemes all rows do). Backward:
// grad_x = grad_y W'', W'' = the dequantized weight, as if x had not been rounded; in training also grad_W =
// grad_y^T x as an integer product of both, quantized along tokens, but grad_y^T x[:, O] in float. Source:
// LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (Dettmers et al., 2022); what it does in
// 16 bit is done in 32 here.
#pragma once
#include <memory>
#include <vector>

#include "formwork/kernels/cpu/int8.h"
#include "formwork/linear/quantized/int8_codes.h"
#include "formwork/linear/quantized/outlier_pool.h"

namespace formwork {

struct Int8Call {
  Int8Codes weight;
  Tensor code_sums;    // [out] int32, of the codes of each row; in schemes with zero points
  Tensor kept_weight;  // [out, in] for outlier columns; undefined: dequantized
  Int8Scheme scheme;
  double threshold = 0;  // 0: no column is an outlier
  Int8RowMax row_max = Int8RowMax::columns;
  std::shared_ptr<OutlierPool> pool;  // null: the outliers of this call alone
};

// Of each row of codes [out, in].
Tensor int8_code_sums(const Tensor& codes);

struct Int8Output {
  Tensor y;  // float [rows, out]
  std::vector<int64_t> outliers;
};
// The product without gradients: x float [rows, in] contiguous, bias float [out] or undefined.
Int8Output int8_forward(const Tensor& x, const Tensor& bias, const Int8Call& call);

// x float [..., in] -> float [..., out].
Tensor int8_apply(const Tensor& x, const Tensor& bias, const Int8Call& call);
// The same with a gradient for `weight` [out, in], of whose values call.weight are the codes.
Tensor int8_apply_training(const Tensor& x, const Tensor& weight, const Tensor& bias, const Int8Call& call);
// grad_W [out, in] of x [rows, in] and grad_y [rows, out], both float.
Tensor int8_weight_gradient(const Tensor& grad_y, const Tensor& x, const std::vector<int64_t>& outliers);

}  // namespace formwork
