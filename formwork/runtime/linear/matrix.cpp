#include "formwork/runtime/linear/matrix.h"

#include <algorithm>
#include <limits>

#include "formwork/kernels/cpu/float_product.h"

namespace formwork::runtime {
namespace {

int64_t bytes_of(WeightType type) { return type == WeightType::float32 ? 4 : 2; }

std::vector<Dim> shape_of(const Need& need) {
  std::vector<Dim> dims = {need.out, need.in};
  if (need.banks > 0) dims.insert(dims.begin(), Dim::plain(need.banks));
  return dims;
}

}  // namespace

std::optional<WeightType> weight_type(Dtype dtype) {
  if (dtype == Dtype::float32) return WeightType::float32;
  if (dtype == Dtype::bfloat16) return WeightType::bfloat16;
  if (dtype == Dtype::float16) return WeightType::float16;
  return std::nullopt;
}

Matrix::Matrix(const void* data, WeightType type, int64_t out, int64_t in)
    : type_(type),
      out_(out),
      in_(in),
      rows_{{static_cast<const std::byte*>(data), 0, std::numeric_limits<int64_t>::max()}} {}

Matrix Matrix::stored(const Scope& scope, const std::string& suffix, const Need& need) {
  const int64_t out = need.out.size(), in = need.in.size();
  const Raw raw = scope.tensor(suffix, shape_of(need));
  const auto type = weight_type(raw.dtype);
  if (!type) return {scope.floats(suffix, shape_of(need)), WeightType::float32, out, in};
  Matrix matrix(raw.data, *type, out, in);
  if (raw.pieces.empty()) return matrix;
  matrix.rows_.clear();
  int64_t first = 0;
  for (const auto& piece : raw.pieces) {
    const int64_t last = first + piece.count() / std::max<int64_t>(1, in);
    matrix.rows_.push_back({static_cast<const std::byte*>(piece.data), first, last});
    first = last;
  }
  return matrix;
}

const std::byte* Matrix::at(const Rows& rows, int64_t row) const {
  return rows.data + (row - rows.first) * in_ * bytes_of(type_);
}

void Matrix::multiply(const Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* bias) const {
  // The choice must not depend on the number of rows, which in a bank of experts is the neighbours' affair
  // too.
  constexpr int64_t kLeast = 32;
  const bool tiles =
      pass.many && type_ == WeightType::float32 && out_ >= kLeast && in_ >= kLeast && has_float_product();
  const int64_t begin = bank * out_, end = begin + out_;
  for (const auto& part : rows_) {
    const int64_t first = std::max(begin, part.first), last = std::min(end, part.last);
    if (first >= last || rows == 0) continue;
    const int64_t place = first - begin;
    const void* w = at(part, first);
    const float* shift = bias ? bias + place : nullptr;
    if (tiles)
      float_product({{x.data, rows, x.stride},
                     {static_cast<const float*>(w), last - first, in_},
                     in_,
                     y.data + place,
                     y.stride,
                     shift,
                     y.add});
    else
      rows_product(
          {rows, in_, last - first, x.data, x.stride, w, type_, shift, y.data + place, y.stride, y.add});
  }
}

void Matrix::row(int64_t index, float* y) const {
  const auto part =
      std::find_if(rows_.begin(), rows_.end(), [&](const Rows& rows) { return index < rows.last; });
  const std::byte* from = at(*part, index);
  if (type_ == WeightType::float32)
    std::copy_n(reinterpret_cast<const float*>(from), in_, y);
  else
    widen(type_, in_, from, y);
}

}  // namespace formwork::runtime
