// What the token dimension of a stream means. Inside a model tokens are left-aligned: row b holds
// lengths[b] real tokens and then padding. Layouts with gaps or left padding are compacted once at the
// model's entrance and restored at its exit, so mixers see only lengths.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

struct TokenDim {
  std::string name;  // "time", "height", "width", "variate"
  int64_t size = 0;
};

struct Layout {
  std::vector<TokenDim> dims;    // row-major; empty means one dimension "time" over all tokens
  Tensor lengths;                // [B] int64 real tokens a row; undefined: all
  std::vector<int64_t> offsets;  // packed rows: x is [1, N, D], sequence s is [offsets[s], offsets[s+1])
  Tensor positions;              // [B, T] int64; undefined: 0 .. T-1 (after a state: its length ..)
  Tensor prefix;                 // [B] int64 leading tokens that all see each other (prefix LM); undefined: 0

  bool packed() const { return !offsets.empty(); }
  // [B, T] bool, true for real tokens; undefined when every token is real.
  Tensor keep(int64_t tokens) const;
};

// The gather that left-aligns real tokens and the scatter that puts results back in their places.
class Compaction {
 public:
  // mask [B, T]: nonzero for real tokens. No value when it is already left-aligned (then only lengths
  // matter).
  explicit Compaction(const Tensor& mask);
  const Tensor& lengths() const { return lengths_; }
  Tensor align(const Tensor& x) const;    // [B, T, ...] -> [B, max length, ...]
  Tensor restore(const Tensor& x) const;  // [B, max length, ...] -> [B, T, ...], zero at padding

 private:
  bool aligned_ = false;
  Tensor lengths_, order_, rank_, mask_;
};

}  // namespace formwork
