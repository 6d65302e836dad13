// Problems of linear regression, one a row, to be learned in context (What Can Transformers Learn
// In-Context?, Garg et al., 2022; What learning algorithm is in-context learning?, Akyurek et al., 2023).
// Each is
//
//   w ~ N(0, tau^2 I_d),  x_i ~ N(0, s^2 I_d),  y_i = w . x_i + e_i,  e_i ~ N(0, sigma^2),  i = 1 .. n
//
// as tokens of d + 1 numbers in turns, [0; x_i] and [y_i; 0].
#pragma once
#include "formwork/core/options.h"
#include "formwork/core/tensor.h"

namespace formwork {

struct LinearProblems {
  int64_t d = 8, n_max = 40;
  double sigma = 0, tau = 1, x_scale = 1;
  bool fixed_w = false;
  void describe(Fields& f) {
    f.integer("d", d, "dimension of x", 1, 1 << 12);
    f.integer("n_max", n_max, "examples of a row, the last of which is only asked", 2, 1 << 16);
    f.number("sigma", sigma, "standard deviation of the noise on y", 0, 1e6);
    f.number("tau", tau, "standard deviation of each weight", 0, 1e6);
    f.number("x_scale", x_scale, "standard deviation of each number of x; 1 in training", 1e-6, 1e6);
    f.flag("fixed_w", fixed_w, "the same w in every row: a control, in which nothing is learned from a row");
  }
};

// x [B, n, d], y [B, m] with m = n, or n - 1 where the last is not known; w [B, d] where it is. All double.
struct Examples {
  Tensor x, y, w;

  int64_t known() const { return y.size(1); }
  // The first n examples, with as many y.
  Examples first(int64_t n) const { return {x.narrow(1, 0, n), y.narrow(1, 0, n), w}; }
  // Their asked x, [B, d]: that after the first n.
  Tensor after(int64_t n) const { return x.select(1, n); }
};

// Rows first .. first + rows - 1 of `seed`, which depend on these numbers alone.
Examples draw_examples(const LinearProblems& problems, uint64_t seed, int64_t first, int64_t rows);

// [B, n + m, d + 1]: x_1, y_1, x_2, ...
Tensor interleave(const Examples& examples);
// The examples of tokens [B, T, d + 1]; throws where they are none.
Examples read_examples(const Tensor& tokens);

}  // namespace formwork
