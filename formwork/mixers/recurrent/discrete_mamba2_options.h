// What discrete Mamba-2 can be told.
#pragma once
#include "formwork/mixers/recurrent/gated_frame_options.h"

namespace formwork {

struct DiscreteMamba2Options : GatedFrameOptions {
  int64_t d_state = 64, groups = 0, chunk = 128;
  bool decay = true;
  void describe(Fields& f) {
    f.integer("d_state", d_state, "states of a channel (N)", 1, 4096);
    f.integer("groups", groups, "groups of heads that share B and C (G); 0: each head has its own", 0,
              1 << 20);
    f.flag("decay", decay, "states decay by what each token says; without, it is causal linear attention");
    f.integer("chunk", chunk, "tokens of a block, inside which tokens meet in matrices; changes no value", 1,
              1 << 20);
    GatedFrameOptions::describe(f);
  }
};

}  // namespace formwork
