// Positions: how order enters. A scheme acts in one of three places and leaves the others alone: it adds to
// the embedding, it turns queries and keys, or it adds a bias to the scores.
#pragma once
#include <utility>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// Built with build.in: the stream's axis for schemes that add to the embedding, the head width for those
// that turn queries and keys. Axis `heads` (query heads) is passed for biases.
class Position : public Part {
 public:
  static const char* kind() { return "positions"; }
  // x [B, T, D] with positions [B|1, T] -> [B, T, D].
  virtual Tensor embed(Context& ctx, const Tensor& x, const Tensor& positions) { return x; }
  // q or k, [B, T, H, d] with positions [B|1, T] -> the same shape.
  virtual Tensor rotate(Context& ctx, const Tensor& x, const Tensor& positions) { return x; }
  virtual bool rotates() const { return false; }
  // Bias on scores, [B|1, H, Tq, Tk]; undefined where there is none.
  virtual Tensor bias(Context& ctx, const Tensor& query_positions, const Tensor& key_positions,
                      int64_t heads) {
    return {};
  }
  virtual bool biases() const { return false; }
  // Slopes of a bias that is linear in distance, [H]; undefined otherwise (kernels add it without a tensor).
  virtual Tensor slopes(int64_t heads) const { return {}; }
};

}  // namespace formwork
