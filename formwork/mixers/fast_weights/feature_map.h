// Feature maps of keys and queries: phi(x), in which a memory's first weights are linear. More features hold
// more pairs. Source: ATLAS: Learning to Optimally Memorize the Context at Test Time (2025), section 3.1.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// Keys of all tokens so far, for features that exist through their kernel alone. The columns of a memory's
// first weights are then the features that initial weights act on, and one for each of these keys.
struct KeyStore {
  Tensor keys;    // [B, H, P, F]
  Tensor places;  // [B, m] int64: where the keys of a segment stand among them
};

// What a segment of n queries and m keys needs. N columns: F, and those of the stored keys.
struct Features {
  Tensor keys;     // [B, H, m, N], what a weight is multiplied by
  Tensor writes;   // [B, H, m, N], what stands on the right of a gradient
  Tensor queries;  // [B, H, n, N]
  Tensor metric;   // [B, H, N, N] inner products of the columns' basis; undefined: it is orthonormal
};

// Built with build.in, the axis of keys, and build.heads.
class FeatureMap : public Part {
 public:
  static const char* kind() { return "feature_maps"; }
  static const char* noun() { return "feature map"; }

  // The axis of the F features that initial weights act on.
  const Axis& features() const { return features_; }
  // What is computed of each token alone: x [B, H, T, d] -> [B, H, T, F].
  virtual Tensor of(Context& ctx, const Tensor& x) const = 0;
  // About the largest eigenvalue of the mean of phi phi^T over keys that point everywhere.
  virtual double concentration() const = 0;
  // Whether there is a column for every key (a KeyStore).
  virtual bool by_kernel() const { return false; }
  // From what `of` gave; `store` is read where by_kernel(), `metric` says whether it is wanted.
  virtual Features of_segment(const Tensor& keys, const Tensor& queries, const KeyStore& store,
                              bool metric) const {
    return {keys, keys, queries, {}};
  }

 protected:
  explicit FeatureMap(Axis features) : features_(std::move(features)) {}

 private:
  Axis features_;
};

}  // namespace formwork
