// What the language-model head can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct LmHeadOptions {
  bool bias = false;
  void describe(Fields& f) { f.flag("bias", bias, "a bias for each token of the vocabulary"); }
};

}  // namespace formwork
