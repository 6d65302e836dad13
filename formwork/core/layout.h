// What the token dimension of a stream means. Inside a model tokens are left-aligned: row b holds
// lengths[b] real tokens and then padding. Layouts with gaps or left padding are compacted once at the
// model's entrance and restored at its exit, so mixers see only lengths.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formwork/core/tensor.h"
#include "formwork/core/token_tree.h"

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

  // Drafts. The tokens may form a tree; null: each follows the one before it. From some of them, the anchors,
  // drafts of what comes next may grow while the stream goes through the layers: draft i of anchor a is token
  // T + (i - 1) A + a, T tokens having been there before, and follows draft i - 1, or the anchor itself.
  std::shared_ptr<const TokenTree> tree;
  Tensor anchors;      // [B|1, A] int64; undefined: none
  int64_t drafts = 0;  // of each anchor that are in the stream

  bool packed() const { return !offsets.empty(); }
  // [B, T] bool, true for real tokens; undefined when every token is real.
  Tensor keep(int64_t tokens) const;
  // The layout of a stream of so many tokens behind which `count` further drafts of each anchor entered.
  // Padding then stands among the tokens, so lengths are no more: nobody but padding descends from it.
  Layout with_drafts(int64_t tokens, int64_t count) const;
};

// The gather that left-aligns real tokens and the scatter that puts results back in their places.
class Compaction {
 public:
  // mask [B, T]: nonzero for real tokens. No value when it is already left-aligned (then only lengths
  // matter).
  explicit Compaction(const Tensor& mask);
  const Tensor& lengths() const { return lengths_; }
  bool aligned() const { return aligned_; }  // whether every token is in its place already
  Tensor align(const Tensor& x) const;       // [B, T, ...] -> [B, max length, ...]
  Tensor restore(const Tensor& x) const;     // [B, max length, ...] -> [B, T, ...], zero at padding

 private:
  bool aligned_ = false;
  Tensor lengths_, order_, rank_, mask_;
};

}  // namespace formwork
