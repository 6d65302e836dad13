// Windows of a map of tokens (Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted
// Windows", 2021): a map of H x W tokens is cut into windows of h x w tokens. Where they do not divide it, it
// is padded with zeros right and below; with a shift (t, s), its tokens first turn by (-t, -s), so that what
// leaves on one side enters on the other. A line of tokens is a map of height 1.
#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <string>

#include "formwork/core/context.h"
#include "formwork/core/options.h"

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

  // [count * tokens] int64: the places of the padded map, windows row by row, then tokens row by row.
  Tensor order() const;
  // [count, tokens, tokens] bool: which pairs of a window were neighbours before the tokens turned; undefined
  // without a shift, where all were.
  Tensor neighbours() const;
  // [tokens, tokens] int64: the row of a table over offsets (dy, dx) of query minus key, from (1 - most[0],
  // 1 - most[1]), row by row; most >= side.
  Tensor offsets(const Sides& most) const;
};

// Height and width of the map of the stream that ctx reads: its `dimensions` token dimensions (1 or 2; a
// stream of `tokens` without any is a line). Others, and rows of unequal lengths, are an error at `path`.
Windows::Sides map_of_tokens(const Context& ctx, int64_t tokens, int64_t dimensions, const std::string& path);

// Windows ready to be cut, turn and cut in one gather.
class WindowCut {
 public:
  WindowCut(const Windows& windows, const Windows::Sides& most, at::Device device);

  // x [B, H W, C] -> [B * count, tokens, C].
  Tensor cut(const Tensor& x) const;
  // Undoes it: [B * count, tokens, C] -> [B, H W, C].
  Tensor join(const Tensor& windows) const;

  const Windows& windows() const { return windows_; }
  const Tensor& neighbours() const { return neighbours_; }
  const Tensor& barrier() const { return barrier_; }  // 0 for neighbours, -inf for the others; or undefined
  const Tensor& offsets() const { return offsets_; }

 private:
  Windows windows_;
  Tensor order_, inverse_, neighbours_, barrier_, offsets_;
};

// The windows of the map that came last, made once and kept until another comes. Safe to share by threads.
class WindowCache {
 public:
  std::shared_ptr<const WindowCut> get(const Windows& windows, const Windows::Sides& most, at::Device device);

 private:
  std::mutex mutex_;
  std::shared_ptr<const WindowCut> made_;
};

// A second view of mixers that have a table over the offsets in a window, for who gives them another window.
class WindowTable {
 public:
  virtual ~WindowTable() = default;
  virtual int64_t window() const = 0;
  // [(2 window - 1)^dimensions, heads], offsets row by row.
  virtual int64_t dimensions() const = 0;
  virtual const Param* table() const = 0;
  // The mixer with windows of this side, shifted by half of it where it is shifted now.
  virtual PartSpec with_window(int64_t side) const = 0;
};

}  // namespace formwork
