// What Mamba's mixer can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct MambaOptions {
  int64_t d_state = 16, d_conv = 4, dt_rank = 0;
  double expand = 2, dt_min = 0.001, dt_max = 0.1, dt_init_floor = 1e-4;
  std::string dt_init = "random", discretization = "euler", a_init = "s4d";
  bool complex = false, selective_delta = true, selective_b = true, selective_c = true;
  void describe(Fields& f) {
    f.integer("d_state", d_state, "states of a channel (N)", 1, 4096);
    f.number("expand", expand, "inner channels over width (E / D)", 1e-3, 1024);
    f.integer("d_conv", d_conv, "width of the convolution (K)", 1, 1024);
    f.integer("dt_rank", dt_rank, "rank of the step sizes (R); 0: width / 16, rounded up", 0, 1 << 20);
    f.number("dt_min", dt_min, "smallest step size at the start", 1e-12, 1e6);
    f.number("dt_max", dt_max, "largest step size at the start", 1e-12, 1e6);
    f.number("dt_init_floor", dt_init_floor, "no step size starts below this", 1e-12, 1e6);
    f.choice("dt_init", dt_init, {"random", "constant"}, "weights of the step sizes: U(+-R^-1/2) or R^-1/2");
    f.choice("discretization", discretization, {"euler", "zoh"}, "of B: delta B, or the exact hold");
    f.flag("complex", complex, "complex states, each with its conjugate");
    f.choice("a_init", a_init, {"s4d", "s4d_inv", "half", "random"},
             "decay at the start: -(n + 1), complex -1/2 + i pi n (S4D-Lin); complex -1/2 + i N/pi (N / "
             "(2n + 1) - 1); -1/2; -exp(N(0, 1))");
    f.flag("selective_delta", selective_delta, "the step size follows the token");
    f.flag("selective_b", selective_b, "the input matrix follows the token");
    f.flag("selective_c", selective_c, "the output matrix follows the token");
  }
};

}  // namespace formwork
