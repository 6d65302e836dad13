// What each norm can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct RmsNormOptions {
  double eps = 1e-5, offset = 0;
  bool gain = true;
  void describe(Fields& f) {
    f.number("eps", eps, "added to the mean square", 0, 1);
    f.flag("gain", gain, "multiply by a learned gain");
    f.number("offset", offset, "added to the gain", -1e6, 1e6);
  }
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool gain = true, bias = true;
  void describe(Fields& f) {
    f.number("eps", eps, "added to the variance", 0, 1);
    f.flag("gain", gain, "multiply by a learned gain");
    f.flag("bias", bias, "add a learned bias");
  }
};

struct BatchNormOptions {
  double eps = 1e-5, momentum = 0.1;
  bool gain = true, bias = true;
  void describe(Fields& f) {
    f.number("eps", eps, "added to the variance", 0, 1);
    f.number("momentum", momentum, "weight of a batch in the running averages", 0, 1);
    f.flag("gain", gain, "multiply by a learned gain");
    f.flag("bias", bias, "add a learned bias");
  }
};

}  // namespace formwork
