// Memories whose weights are the state of a token mixer: a small network M from the features of a key to a
// value, one for each sequence and head, whose weights are changed while it reads the sequence. A registered
// part is one architecture of M. Source: ATLAS: Learning to Optimally Memorize the Context at Test Time
// (2025), section 3.
//
// Shapes: weights W_j [B, H, rows, columns] (one set for each sequence and head), features [B, H, n, F],
// values [B, H, n, dv]. Gradients are analytic, so that a memory learns where autograd is off as well, and
// they are made of ATen operations, so that there is a gradient through them.
#pragma once
#include <functional>
#include <vector>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// x [B, H, n, columns] -> [B, H, n, rows]: the j-th weight times x, each token's own weight where they
// differ.
using Apply = std::function<Tensor(size_t j, const Tensor& x)>;
// The derivative [B, H, n, dv] of a loss by the output y of a memory.
using OutputError = std::function<Tensor(const Tensor& y)>;

// Gradients by one weight, of each of n tokens alone: left_i right_i^T, [B, H, n, rows] and [B, H, n,
// columns].
struct RankOne {
  Tensor left, right;
};

// Built with build.in the axis of features, build.out that of values, and build.heads.
class FastMemory : public Part {
 public:
  static const char* kind() { return "memories"; }
  static const char* noun() { return "memory"; }
  struct Shape {
    int64_t rows, columns;
  };

  // Of the weights; the first readers() of them are multiplied by features.
  const std::vector<Shape>& shapes() const { return shapes_; }
  size_t readers() const { return readers_; }
  // Where every sequence begins: learned, or zero. [H, rows, columns] each, of a dtype and device.
  std::vector<Tensor> initial(Context& ctx, const at::TensorOptions& like) const;

  // M(phi) of features [B, H, n, F].
  virtual Tensor read(const Apply& apply, const Tensor& phi) const = 0;
  // The gradients of tokens' losses at one set of weights. `keys` is what weights are multiplied by, `writes`
  // what stands on the right of a gradient by them (they differ where features are given by a kernel).
  virtual std::vector<RankOne> gradients(const std::vector<Tensor>& weights, const Tensor& keys,
                                         const Tensor& writes, const OutputError& error) const = 0;
  // About the largest eigenvalue of the loss's second derivative for one token at the start, of features with
  // this concentration (feature_map.h).
  virtual double curvature(double concentration) const = 0;

 protected:
  explicit FastMemory(const Build& build);
  // The next weight, of the axes of one head. Its start is learned from N(0, std^2); 0: it is zero and no
  // parameter.
  void add_weight(const Build& build, const std::string& name, const Axis& rows, const Axis& columns,
                  double std, bool reads_features);
  // The fixed part of a residual memory: the first dv features, and zeros where there are fewer.
  Tensor skip(const Tensor& phi) const;
  // Says that the skip ties features to values, channel by channel.
  void restrict_skip(const Build& build) const;

 private:
  int64_t heads_ = 1, features_, values_;
  std::vector<Axis> head_axes_;
  std::vector<Shape> shapes_;
  std::vector<Param*> initial_;  // null: zero
  size_t readers_ = 0;
};

// x W^T and y W.
inline Tensor times(const Tensor& weight, const Tensor& x) { return x.matmul(weight.transpose(-2, -1)); }
inline Tensor transposed_times(const Tensor& weight, const Tensor& y) { return y.matmul(weight); }

}  // namespace formwork
