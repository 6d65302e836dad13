// What each scheme of positions can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct RotaryOptions {
  double base = 10000, fraction = 1;
  std::string layout = "half";
  PartSpec scaling = "none";
  void describe(Fields& f) {
    f.number("base", base, "wavelengths run from 2 pi to 2 pi base", 1.0001, 1e12);
    f.number("fraction", fraction, "of a head's channels that turn: the first", 0, 1);
    f.choice("layout", layout, {"half", "interleaved"}, "pairs (i, i + width/2), or (2i, 2i + 1)");
    f.part("scaling", scaling, "rotary_scalings", "stretches the context");
  }
};

struct LearnedPositionOptions {
  int64_t context = 512;
  double std = 0.02;
  void describe(Fields& f) {
    f.integer("context", context, "number of positions", 1);
    f.number("std", std, "standard deviation at initialization", 0, 10);
  }
};

struct SinusoidalOptions {
  double base = 10000, scale = 1;
  std::string layout = "interleaved";
  void describe(Fields& f) {
    f.number("base", base, "wavelengths run from 2 pi to 2 pi base", 1.0001, 1e12);
    f.number("scale", scale, "factor on the added vector", 0, 1e6);
    f.choice("layout", layout, {"interleaved", "half"}, "sine and cosine alternate, or all sines come first");
  }
};

struct T5PositionOptions {
  int64_t buckets = 32, max_distance = 128;
  double std = 0.02;
  void describe(Fields& f) {
    f.integer("buckets", buckets, "kinds of distances, both directions together", 4, 1 << 20);
    f.integer("max_distance", max_distance, "distance from which all share the last bucket", 2);
    f.number("std", std, "standard deviation at initialization", 0, 10);
  }
};

}  // namespace formwork
