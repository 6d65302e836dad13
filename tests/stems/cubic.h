// Interpolation by cubic convolution, written out for one dimension.
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace formwork {

// The kernel (Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981) with a = -3/4.
inline double cubic(double distance) {
  const double a = -0.75, d = std::abs(distance);
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

// [to, from]: entry i of a line of `to` places reads those of `from`, centres on centres, ends repeated.
inline at::Tensor cubic_matrix(int64_t from, int64_t to) {
  auto matrix = at::zeros({to, from}, at::kDouble);
  for (int64_t i = 0; i < to; ++i) {
    const double place =
        (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    const auto first = static_cast<int64_t>(std::floor(place)) - 1;
    for (int64_t k = first; k < first + 4; ++k)
      matrix[i][std::clamp<int64_t>(k, 0, from - 1)] += cubic(place - static_cast<double>(k));
  }
  return matrix;
}

}  // namespace formwork
