// A matrix, or a bank of them, as the kernels read it.
#pragma once
#include "formwork/kernels/cpu/few_rows.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {

// The kernels' name of a type that they multiply; nothing for the others.
std::optional<WeightType> weight_type(Dtype dtype);

// Its rows may lie in several places: those of queries, keys and values, say, where another program's file
// has them, or the matrices of a bank.
class Matrix {
 public:
  // In one place; of a bank, one matrix after the other.
  Matrix(const void* data, WeightType type, int64_t out, int64_t in);
  // The tensor `suffix` [out, in], or [banks, out, in]; other types than the three are copied to float32.
  static Matrix stored(const Scope& scope, const std::string& suffix, const Need& need);

  // y (+)= x W^T + bias.
  void multiply(const Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* bias) const;
  // y [in] = row `index` of W.
  void row(int64_t index, float* y) const;

 private:
  // Rows [first, last), counted through all matrices of a bank.
  struct Rows {
    const std::byte* data;
    int64_t first, last;
  };
  const std::byte* at(const Rows& rows, int64_t row) const;

  WeightType type_;
  int64_t out_, in_;
  std::vector<Rows> rows_;
};

}  // namespace formwork::runtime
