// Positions: how order enters. A scheme acts in one of three places and leaves the others alone: it adds to
// the embedding, it turns queries and keys, or it adds a bias to the scores.
#pragma once
#include <utility>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// How far pairs of channels turn: tables [B|1, T, r/2] of the first r channels of a head. Pair i is (i, i +
// r/2) or (2i, 2i + 1).
struct Turn {
  Tensor cosines, sines;
  bool halves = true;
};

// Built with build.in: the stream's axis for schemes that add to the embedding, the axis of a head's channels
// for those that turn queries and keys. build.heads: the axes whose product is the query heads, for biases
// (empty outside attention). build.causal: whether later keys are never seen.
class Position : public Part {
 public:
  static const char* kind() { return "positions"; }
  static const char* noun() { return "position"; }
  // x [B, T, D] with positions [B|1, T] -> [B, T, D].
  virtual Tensor embed(Context& ctx, const Tensor& x, const Tensor& positions) { return x; }
  // q or k, [B, T, H, d] with positions [B|1, T] -> the same shape.
  virtual Tensor rotate(Context& ctx, const Tensor& x, const Tensor& positions) { return x; }
  virtual bool rotates() const { return false; }
  // What `rotate` turns by at positions [B|1, T]; undefined tables where nothing turns.
  virtual Turn turn(Context& ctx, const Tensor& positions) { return {}; }
  // Bias on scores, [B|1, H, Tq, Tk]; undefined where there is none.
  virtual Tensor bias(Context& ctx, const Tensor& query_positions, const Tensor& key_positions) {
    if (!biases()) return {};
    return bias_at(ctx, key_positions.unsqueeze(-2) - query_positions.unsqueeze(-1)).permute({0, 3, 1, 2});
  }
  // Where the bias depends on the distance key - query alone: distances [...] int64 -> [..., H]; undefined
  // otherwise. Fused attention then needs no tensor of [Tq, Tk].
  virtual Tensor bias_at(Context& ctx, const Tensor& distances) { return {}; }
  virtual bool biases_by_distance() const { return false; }
  virtual bool biases() const { return false; }
  // Where the bias is -slope_h |p - j|: the slopes [H], undefined otherwise.
  virtual Tensor slopes(Context& ctx) { return {}; }
};

}  // namespace formwork
