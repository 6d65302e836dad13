// What mixers in a gated frame (gated_frame.h) can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct GatedFrameOptions {
  int64_t heads = 4, d_conv = 4;
  double expand = 1;
  std::string activation = "identity";
  bool bias = false, conv_bias = true, identity_start = true;
  void describe(Fields& f) {
    f.integer("heads", heads, "heads, each with a matrix of its own (H)", 1, 1 << 20);
    f.number("expand", expand, "inner channels over width (H P / D)", 1e-3, 1024);
    f.integer("d_conv", d_conv, "width of the convolution (K)", 1, 1024);
    f.choice("activation", activation, {"identity", "silu"}, "after the convolution");
    f.flag("bias", bias, "biases of the input and output maps; without them the gate has one of its own");
    f.flag("conv_bias", conv_bias, "bias of the convolution");
    f.flag("identity_start", identity_start,
           "start as a matrix alone: the convolution passes each token on, the gate is 1; otherwise as any "
           "layer, "
           "the gate's bias at 0");
  }
};

}  // namespace formwork
