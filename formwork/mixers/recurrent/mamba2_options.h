// What Mamba-2's mixer can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct Mamba2Options {
  int64_t d_state = 128, d_conv = 4, head_width = 64, groups = 1, chunk = 64;
  double expand = 2, dt_min = 0.001, dt_max = 0.1, dt_init_floor = 1e-4, dt_low = 0, dt_high = 0;
  double a_min = 1, a_max = 16, norm_eps = 1e-5;
  bool bias = false, conv_bias = true, norm = true, norm_before_gate = false;
  void describe(Fields& f) {
    f.integer("d_state", d_state, "states of a channel (N)", 1, 4096);
    f.number("expand", expand, "inner channels over width (H P / D)", 1e-3, 1024);
    f.integer("head_width", head_width, "channels of a head (P)", 1, 1 << 20);
    f.integer("groups", groups, "groups of heads with input and output matrices of their own (G)", 1,
              1 << 20);
    f.integer("d_conv", d_conv, "width of the convolution (K)", 1, 1024);
    f.integer("chunk", chunk, "tokens of a block, inside which tokens meet in matrices; changes no value", 1,
              1 << 20);
    f.flag("bias", bias, "biases of the input and output maps");
    f.flag("conv_bias", conv_bias, "bias of the convolution");
    f.flag("norm", norm, "RMSNorm of each group of heads before the output map");
    f.flag("norm_before_gate", norm_before_gate, "RMSNorm(y) * SiLU(z) instead of RMSNorm(y * SiLU(z))");
    f.number("norm_eps", norm_eps, "added to the mean square", 0, 1);
    f.number("dt_low", dt_low, "no step size is below this", 0, 1e6);
    f.number("dt_high", dt_high, "no step size is above this; 0: no limit", 0, 1e6);
    f.number("dt_min", dt_min, "smallest step size at the start", 1e-12, 1e6);
    f.number("dt_max", dt_max, "largest step size at the start", 1e-12, 1e6);
    f.number("dt_init_floor", dt_init_floor, "no step size starts below this", 1e-12, 1e6);
    f.number("a_min", a_min, "smallest decay rate at the start, drawn uniformly", 1e-12, 1e6);
    f.number("a_max", a_max, "largest decay rate at the start", 1e-12, 1e6);
  }
};

}  // namespace formwork
