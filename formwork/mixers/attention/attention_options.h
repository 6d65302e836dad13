// What softmax attention can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct AttentionOptions {
  int64_t heads = 4, kv_heads = 0, head_width = 0, window = 0;
  bool fused = true, bias = false, out_bias = false;
  double scale = 0, dropout = 0;
  std::string memory;
  PartSpec position = "none", score = "softmax", qk_norm;
  void describe(Fields& f) {
    f.integer("heads", heads, "query heads", 1, 4096);
    f.integer("kv_heads", kv_heads, "key and value heads; 0: as many as query heads", 0, 4096);
    f.integer("head_width", head_width, "channels of a head; 0: width / heads", 0, 65536);
    f.integer("window", window, "keys a query sees, itself included; 0: all");
    f.flag("fused", fused, "one map for queries, keys and values (not for cross attention)");
    f.flag("bias", bias, "bias on queries, keys and values");
    f.flag("out_bias", out_bias, "bias on the output");
    f.number("scale", scale, "factor on q.k; 0: 1/sqrt(head_width)", 0, 1e6);
    f.number("dropout", dropout, "dropout on the weights", 0, 1);
    f.text("memory", memory, "the stream that keys and values come from; empty: the mixer's own");
    f.part("position", position, "positions", "rotary, alibi, t5, none");
    f.part("score", score, "scores", "how logits become weights");
    f.part("qk_norm", qk_norm, "norms", "norm on queries and keys of each head", true);
  }
};

}  // namespace formwork
