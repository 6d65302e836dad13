// How a next-token distribution is reshaped before a token is drawn (decode/sample.cpp says in which order).
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct SampleOptions {
  double temperature = 1, top_p = 1, min_p = 0, repetition = 1;
  int64_t top_k = 0;
  void describe(Fields& f) {
    f.number("temperature", temperature, "divides the logits; towards 0 the most probable token", 1e-3, 1e3);
    f.integer("top_k", top_k, "draw from so many of the most probable tokens; 0: all");
    f.number("top_p", top_p, "draw from the most probable tokens that together hold this share", 1e-6, 1);
    f.number("min_p", min_p, "leave out tokens below this share of the most probable one's", 0, 1);
    f.number("repetition", repetition, "penalty of tokens that are there already; 1: none", 1e-2, 1e2);
  }
};

}  // namespace formwork
