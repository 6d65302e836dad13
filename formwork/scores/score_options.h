// What the scores can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct SoftmaxOptions {
  double cap = 0;
  void describe(Fields& f) {
    f.number("cap", cap, "logits end smoothly at this size; 0: they have no end", 0, 1e6);
  }
};

}  // namespace formwork
