// What mixers with fast weights can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct FastWeightOptions {
  int64_t heads = 4, key_width = 0, value_width = 0, window = 16, chunk = 64, d_conv = 4;
  std::string loss = "regression";
  PartSpec memory = "mlp2", features = "poly", optimizer = "muon";
  double decay_start = 4, momentum_start = 2.2, rate_start = 0, norm_eps = 1e-5;
  bool updates = true;
  void describe(Fields& f) {
    f.integer("heads", heads, "heads, each with a memory of its own", 1, 4096);
    f.integer("key_width", key_width, "channels of a head's keys; 0: width / heads", 0, 65536);
    f.integer("value_width", value_width, "channels of a head's values; 0: width / heads", 0, 65536);
    f.part("memory", memory, "memories", "architecture of the memory whose weights are the state");
    f.part("features", features, "feature_maps", "features of keys and queries");
    f.choice("loss", loss, {"regression", "hebbian"}, "1/2 |M(k) - v|^2, or -<M(k), v>");
    f.integer("window", window, "tokens of the inner objective (c)", 1, 1 << 20);
    f.part("optimizer", optimizer, "inner_optimizers", "how the memory follows its gradients");
    f.integer("chunk", chunk,
              "tokens whose gradients are taken at one set of weights (b), also in decoding; 1: the exact "
              "recurrence",
              1, 1 << 20);
    f.integer("d_conv", d_conv, "width of the convolution of queries, keys and values", 1, 1024);
    f.number("decay_start", decay_start, "logit that alpha, the share kept of the weights, begins at", -50,
             50);
    f.number("momentum_start", momentum_start, "logit that theta, the share kept of the momentum, begins at",
             -50, 50);
    f.number("rate_start", rate_start, "what eta, the inner rate, begins at; 0: what the optimizer proposes",
             0, 0.999);
    f.number("norm_eps", norm_eps, "added to the mean square of a head's output", 0, 1);
    f.flag("updates", updates,
           "the memory learns from the sequence, in evaluation too; off: it stays as training left it");
  }
};

}  // namespace formwork
