// What a mixture of experts can be told.
#pragma once
#include "formwork/channels/router_options.h"
#include "formwork/core/options.h"

namespace formwork {

struct ExpertsOptions {
  int64_t experts = 8, hidden = 0;
  bool gated = true, bias = false;
  PartSpec activation = "silu";
  std::string start = "normal";
  double capacity = 0, dropout = 0;
  RouterOptions router;
  ExpertsOptions() { router.balance = 0.01, router.z = 0.001; }
  void describe(Fields& f) {
    f.integer("experts", experts, "number of experts", 1, 1 << 20);
    f.integer("hidden", hidden, "hidden width of an expert; 0: 4 x width, gated 8/3 x width");
    f.flag("gated", gated, "experts are gated MLPs");
    f.part("activation", activation, "activations", "of the experts (on the gate where gated)");
    f.flag("bias", bias, "bias on the maps of the experts");
    f.choice("start", start, {"normal", "inverse_fan_in"},
             "weights of the experts: N(0, 0.02), less with depth on the way down; or U(+-1 / fan_in)");
    f.number("capacity", capacity, "in training, tokens an expert takes over its even share; 0: all", 0, 1e6);
    f.number("dropout", dropout, "dropout on the hidden units", 0, 1);
    router.describe(f);
  }
};

}  // namespace formwork
