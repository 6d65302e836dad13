// What wirings can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

// What every residual wiring joins; absent parts leave the stream as it is.
struct LayerOptions {
  PartSpec mixer, cross, channel, norm = "rms_norm";
  double dropout = 0, drop_path = 0;
  void describe(Fields& f) {
    f.part("mixer", mixer, "mixers", "token mixer", true);
    f.part("cross", cross, "mixers", "token mixer over another stream, after the first", true);
    f.part("channel", channel, "channels", "channel mixer", true);
    f.part("norm", norm, "norms", "norm of each sub-block");
    f.number("dropout", dropout, "dropout on each sub-block's output", 0, 1);
    f.number("drop_path", drop_path, "probability of skipping a sub-block for a row (stochastic depth)", 0,
             1);
  }
};

struct ParallelOptions : LayerOptions {
  bool separate_norms = false;
  void describe(Fields& f) {
    LayerOptions::describe(f);
    f.flag("separate_norms", separate_norms, "the channel mixer reads a norm of its own");
  }
};

struct LoopedOptions {
  int64_t times = 2;
  std::vector<PartSpec> layers;
  void describe(Fields& f) {
    f.integer("times", times, "repetitions", 1, 1024);
    f.parts("layers", layers, "wiring", "the layers that are repeated");
  }
};

}  // namespace formwork
