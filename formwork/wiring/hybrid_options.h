// What hybrids of a memory and attention can be told.
#pragma once
#include "formwork/wiring/layer_options.h"

namespace formwork {

struct HybridOptions {
  PartSpec memory = "atlas", attention{"attention", {{"window", 512}}}, channel, norm = "rms_norm";
  double dropout = 0, drop_path = 0;
  void describe(Fields& f) {
    f.part("memory", memory, "mixers", "token mixer with a memory of all tokens");
    f.part("attention", attention, "mixers", "token mixer of the last tokens");
    f.part("channel", channel, "channels", "channel mixer", true);
    f.part("norm", norm, "norms", "norm of each sub-block");
    f.number("dropout", dropout, "dropout on each sub-block's output", 0, 1);
    f.number("drop_path", drop_path, "probability of skipping a sub-block for a row (stochastic depth)", 0,
             1);
  }
  // A layer around one of them.
  LayerOptions around(PartSpec mixer, PartSpec channel_mixer) const {
    LayerOptions layer;
    layer.mixer = std::move(mixer), layer.channel = std::move(channel_mixer), layer.norm = norm;
    layer.dropout = dropout, layer.drop_path = drop_path;
    return layer;
  }
};

}  // namespace formwork
