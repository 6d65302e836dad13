// A matrix, or a bank of them, as the kernels read it.
#pragma once
#include "formwork/kernels/cpu/few_rows.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {

class Matrix {
 public:
  Matrix(const void* data, WeightType type, int64_t out, int64_t in)
      : data_(data), type_(type), out_(out), in_(in) {}
  // The tensor `suffix` [out, in], or [banks, out, in]; other types than the three are copied to float32.
  static Matrix stored(const Scope& scope, const std::string& suffix, const Need& need);

  // y (+)= x W^T + bias.
  void multiply(const Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* bias) const;
  // y [in] = row `index` of W.
  void row(int64_t index, float* y) const;

 private:
  const std::byte* bank(int64_t index) const;
  const void* data_;
  WeightType type_;
  int64_t out_, in_;
};

}  // namespace formwork::runtime
