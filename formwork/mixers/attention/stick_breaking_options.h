// What stick-breaking attention can be told.
#pragma once
#include "formwork/channels/router_options.h"

namespace formwork {

struct StickBreakingOptions {
  int64_t modules = 1, heads = 4, head_width = 0;
  bool bias = true;
  RouterOptions router;
  StickBreakingOptions() {
    router.gate = "mlp", router.active = 1, router.renormalize = false, router.balance_loss = "mi";
  }
  void describe(Fields& f) {
    f.integer("modules", modules, "attention modules (n); 1: no router", 1, 65536);
    f.integer("heads", heads, "heads of a module", 1, 4096);
    f.integer("head_width", head_width, "channels of a head; 0: width / heads", 0, 65536);
    f.flag("bias", bias, "bias on keys and values");
    router.describe(f);
  }
};

}  // namespace formwork
