// What mixers share that are one causal matrix a head, so that they differ in the matrix alone: an input map,
// a short convolution, a gate and an output map.
//
//   [v, z, r] = u W_in^T (+ b);  c = f(conv(v));  out = (y * SiLU(z + z_bias)) W_out^T (+ b)
//
// u [B, T, D]; v [B, T, C] what is convolved: the values x [B, T, H P] first, then what else the matrix is
// made of; z and y [B, T, H P]; r what goes past the convolution; f the identity or SiLU. Such a frame can
// start as nothing but the matrix: the convolution lets the last token through and the gate is 1,
// SiLU(1.27846454). The frame is that of discrete Mamba-2. Source: Transformers to SSMs: Distilling Quadratic
// Knowledge to Subquadratic Models (2024).
#pragma once
#include "formwork/core/build.h"
#include "formwork/linear/conv/depthwise.h"
#include "formwork/mixers/recurrent/gated_frame_options.h"

namespace formwork {

// The axes of a frame. The product of `channels` is H P.
struct GatedFrameAxes {
  std::vector<Axis> channels;
  std::vector<std::vector<Axis>> convolved;  // beside the values
  std::vector<std::vector<Axis>> loose;      // r
};

class GatedFrame {
 public:
  // Of one call: what the convolution gave, the gate, r, and what the convolution read.
  struct Parts {
    Tensor convolved, gate, loose, read;
  };
  // Channels of a head; refuses, naming `build`'s path, a width that is not divided evenly among the heads.
  static int64_t head_width(const Build& build, const GatedFrameOptions& options);

  GatedFrame(Build& build, const GatedFrameOptions& options, const GatedFrameAxes& axes);
  // `window` [B, K, C]: what the convolution read before these tokens; null: they are the first.
  Parts enter(Context& ctx, const Tensor& u, const Tensor* window);
  // What it will have read once each row has taken its real tokens.
  Tensor window_after(const Context& ctx, const Tensor& window, const Tensor& read) const;
  // y [B, T, H P] in any floating dtype -> out in `type`.
  Tensor leave(Context& ctx, const Tensor& y, const Tensor& gate, at::ScalarType type);

  int64_t inner() const { return inner_; }
  int64_t convolved() const { return convolved_; }
  Tensor empty_window(const StateOptions& options) const;

 private:
  void make_in(Build& build, const GatedFrameAxes& axes);

  GatedFrameOptions options_;
  std::string path_;
  int64_t inner_ = 0, convolved_ = 0, loose_ = 0;
  std::unique_ptr<LinearMap> in_, out_;
  std::unique_ptr<DepthwiseConv> conv_;
  Param* gate_bias_ = nullptr;
};

}  // namespace formwork
