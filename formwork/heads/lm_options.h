// What the language-model head can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct LmHeadOptions {
  bool bias = false;
  double scale = 1, cap = 0;
  int64_t project = 0;
  void describe(Fields& f) {
    f.flag("bias", bias, "a bias for each token of the vocabulary");
    f.number("scale", scale, "factor on the stream that is read", 0, 1e6);
    f.number("cap", cap, "logits end smoothly at this size; 0: they have no end", 0, 1e9);
    f.integer("project", project, "width that the stream is mapped to before; 0: it is read as it is", 0,
              1 << 20);
  }
};

}  // namespace formwork
