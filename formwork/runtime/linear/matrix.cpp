#include "formwork/runtime/linear/matrix.h"

#include <algorithm>

#include "formwork/kernels/cpu/float_product.h"

namespace formwork::runtime {
namespace {

int64_t bytes_of(WeightType type) { return type == WeightType::float32 ? 4 : 2; }

}  // namespace

Matrix Matrix::stored(const Scope& scope, const std::string& suffix, const Need& need) {
  const int64_t out = need.out.size(), in = need.in.size();
  std::vector<int64_t> shape = {out, in};
  if (need.banks > 0) shape.insert(shape.begin(), need.banks);
  const Raw& raw = scope.tensor(suffix, shape);
  if (raw.dtype == Dtype::bfloat16) return {raw.data, WeightType::bfloat16, out, in};
  if (raw.dtype == Dtype::float16) return {raw.data, WeightType::float16, out, in};
  return {scope.floats(suffix, shape), WeightType::float32, out, in};
}

const std::byte* Matrix::bank(int64_t index) const {
  return static_cast<const std::byte*>(data_) + index * out_ * in_ * bytes_of(type_);
}

void Matrix::multiply(const Pass& pass, int64_t rows, In x, Out y, int64_t index, const float* bias) const {
  // The choice must not depend on the number of rows, which in a bank of experts is the neighbours' affair
  // too.
  constexpr int64_t kLeast = 32;
  if (pass.many && type_ == WeightType::float32 && out_ >= kLeast && in_ >= kLeast && has_float_product()) {
    const auto* w = reinterpret_cast<const float*>(bank(index));
    if (rows > 0)
      float_product({{x.data, rows, x.stride}, {w, out_, in_}, in_, y.data, y.stride, bias, y.add});
    return;
  }
  rows_product({rows, in_, out_, x.data, x.stride, bank(index), type_, bias, y.data, y.stride, y.add});
}

void Matrix::row(int64_t index, float* y) const {
  const std::byte* from = bank(0) + index * in_ * bytes_of(type_);
  if (type_ == WeightType::float32) {
    std::copy_n(reinterpret_cast<const float*>(from), in_, y);
    return;
  }
  widen(type_, in_, from, y);
}

}  // namespace formwork::runtime
