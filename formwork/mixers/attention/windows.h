// Windows of a map of tokens (Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted
// Windows", 2021): a map of H x W tokens is cut into windows of h x w tokens. Where they do not divide it, it
// is padded with zeros right and below; with a shift (t, s), its tokens first turn by (-t, -s), so that what
// leaves on one side enters on the other.
#pragma once
#include <array>

#include "formwork/core/tensor.h"

namespace formwork {

struct Windows {
  using Sides = std::array<int64_t, 2>;  // of height and of width
  Sides map{}, side{1, 1}, shift{0, 0};
  bool operator==(const Windows&) const = default;

  // Of the map in whole windows.
  Sides padded() const;
  bool divide() const { return padded() == map; }
  int64_t count() const { return padded()[0] / side[0] * (padded()[1] / side[1]); }
  int64_t tokens() const { return side[0] * side[1]; }  // of a window

  // x [B, H W, C] -> [B * count, tokens, C]: images, then windows row by row, then tokens row by row.
  Tensor cut(const Tensor& x) const;
  // Undoes it: [B * count, tokens, C] -> [B, H W, C].
  Tensor join(const Tensor& windows) const;

  // [count, tokens, tokens] bool: which pairs of a window were neighbours before the tokens turned; undefined
  // without a shift, where all were.
  Tensor neighbours() const;
  // [tokens, tokens] int64: the row of a table over offsets (dy, dx) of query minus key, from (1 - most[0],
  // 1 - most[1]), row by row; most >= side.
  Tensor offsets(const Sides& most) const;
};

}  // namespace formwork
