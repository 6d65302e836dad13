// Inner optimizers: how the weights of a memory follow the gradients of one segment, all taken at the weights
// of its start. A registered part is one rule. For one weight, with per-token rates in (0, 1),
//
//   G_t = sum_i window[t, i] left_i right_i^T,   S_t = theta_t S_{t-1} + G_t,
//   M_t = alpha_t M_{t-1} - eta_t f(S_t)
//
// Both recurrences are linear, so that all t of a segment are matrix products (linear_scan.h).
// Source: ATLAS: Learning to Optimally Memorize the Context at Test Time (2025), sections 3.2, 4 and 5.
#pragma once
#include <functional>

#include "formwork/mixers/fast_weights/fast_memory.h"

namespace formwork {

// What all weights of a segment of n tokens share; m gradients.
struct Pace {
  Tensor window;    // [B, H, n, m]
  Tensor decay;     // log alpha [B, H, n]
  Tensor rate;      // eta [B, H, n]
  Tensor momentum;  // log theta [B, H, n]; undefined where the optimizer keeps no momentum
};

// One weight before the segment, [B, H, rows, columns], and the gradients by it.
struct Descent {
  RankOne gradients;
  Tensor weight, momentum;
  Tensor metric;  // of the columns (feature_map.h); undefined: orthonormal
};

// M_t of all t: times x_t [B, H, n, columns] -> [B, H, n, rows]; and what the segment ends with.
struct Trajectory {
  std::function<Tensor(const Tensor& x)> apply;
  Tensor weight, momentum;
};

class InnerOptimizer : public Part {
 public:
  static const char* kind() { return "inner_optimizers"; }
  static const char* noun() { return "inner optimizer"; }
  virtual Trajectory descend(const Pace& pace, const Descent& descent) const = 0;
  virtual bool keeps_momentum() const { return false; }
  // Whether it asks for the metric of features that are not orthonormal.
  virtual bool reads_metric() const { return false; }
  // Where eta begins, of an objective with this curvature along which it steps: below what is unstable.
  virtual double starting_rate(double curvature) const { return std::min(0.5, 1 / curvature); }
  // Operations a token for a weight of this size, beside the gradient itself.
  virtual double flops(int64_t rows, int64_t columns, int64_t window, int64_t chunk) const;
};

}  // namespace formwork
