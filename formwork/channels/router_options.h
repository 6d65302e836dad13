// What a router can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

// What pruned modules leave behind, in a part's scope: axis and map; and how many of the last modules were
// added to a trained model.
inline constexpr const char* kRemovedModules = "removed";
inline constexpr const char* kRemovedRows = "router_removed";
inline constexpr const char* kGrownModules = "grown";

struct RouterOptions {
  std::string gate = "linear", balance_loss = "switch";
  int64_t active = 2, hidden = 256, sample = 0;
  bool renormalize = true;
  double balance = 0, z = 0, jitter = 0, dropout = 0, grown_penalty = 0;

  void describe(Fields& f) {
    f.integer("active", active, "modules for each token (k); a choice of the pass overrides it", 1, 1 << 20);
    f.choice("gate", gate, {"linear", "mlp", "gmm"},
             "logits from one matrix, from a hidden layer, or from the cosine to a centroid");
    f.integer("router_hidden", hidden, "hidden units of the router (mlp, gmm)", 1, 1 << 20);
    f.flag("renormalize", renormalize, "weights of the chosen modules sum to one");
    f.integer("sample_topk", sample, "active modules that are drawn by probability in training");
    f.choice(
        "balance_loss", balance_loss, {"switch", "mi", "concentration"},
        "load: even (switch), even and sharp (mutual information), or on few modules, to prune the rest");
    f.number("balance", balance, "weight of that loss", 0, 1e6);
    f.number("z", z, "weight of the router's z-loss", 0, 1e6);
    f.number("jitter", jitter, "in training, the router's input is scaled by U(1 - jitter, 1 + jitter)", 0,
             1);
    f.number("router_dropout", dropout, "dropout on the router's hidden units (mlp)", 0, 1);
    f.number("grown_penalty", grown_penalty,
             "weight of the mean square of grown modules' rows of the router, so that they do not take over",
             0, 1e6);
  }
};

}  // namespace formwork
