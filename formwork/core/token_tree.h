// Tokens that follow each other as a tree: continuations of one text side by side, of which each token sees
// what came before the tree, its ancestors and itself. One pass then verifies all of them.
// Sources: SpecInfer (Miao et al., 2023); Medusa (Cai et al., 2024).
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

class TokenTree {
 public:
  // parents [B|1, T] int64: token i follows token parents[i] < i, or, where that is -1, what came before the
  // tree. Throws Error where a parent is not an earlier token.
  explicit TokenTree(const Tensor& parents);
  // The parents [1, T] of tokens in a row.
  static Tensor row(int64_t tokens, at::Device device);

  const Tensor& parents() const { return parents_; }  // [B|1, T]
  const Tensor& depths() const { return depths_; }    // [B|1, T] int64, ancestors of each token
  const Tensor& sees() const { return sees_; }  // [B|1, T, T] bool: key j is token i or an ancestor of it

  // Of `keys` keys in a row, of which the first before[b] (int64 [B] or [1]) came earlier and the tree's
  // tokens follow: which each token sees, [B, T, keys] bool; and how far each is from the first, [B, keys].
  Tensor seen(const Tensor& before, int64_t keys) const;
  Tensor places(const Tensor& before, int64_t keys) const;

 private:
  // Of each key: its token in the tree (negative before it), [B, keys].
  Tensor tokens_of(const Tensor& before, int64_t keys) const;
  int64_t size() const { return parents_.size(1); }

  Tensor parents_, depths_, sees_;
};

}  // namespace formwork
