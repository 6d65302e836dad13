// Emergent outlier features: a few dimensions of the hidden state that are far larger than all others in many
// layers, and that plain 8-bit quantization loses. Feature i is one when, in the hidden states that enter the
// projections of attention and of channel mixers (one state for each set of maps that read the same tensor,
// called a layer here),
//
//   |h_l[n, i]| >= threshold for some token n in at least the share `layers` of all layers l, and
//   |h_l[n, i]| >= threshold for at least the share `positions` of all tokens of those layers.
//
// Source: LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (Dettmers et al., 2022),
// section 4.
#pragma once
#include <string>
#include <vector>

#include "formwork/models/model.h"

namespace formwork {

struct OutlierCriteria {
  double threshold = 6;
  double layers = 0.25;
  double positions = 0.06;
  std::string axis = "residual";
  void describe(Fields& f) {
    f.number("threshold", threshold, "magnitude that makes a value an outlier", 1e-9, 1e30);
    f.number("layers", layers, "share of the layers that a feature must reach it in", 0, 1);
    f.number("positions", positions, "share of those layers' tokens that it must reach it at", 0, 1);
    f.text("axis", axis, "axis of the hidden state");
  }
};

// Runs the model over batches of records. The report:
//   width, layers, tokens   features of the state, layers seen, real tokens
//   features                a list, ascending, of
//     feature               its index
//     layers, positions     its two shares
//     quartiles             25, 50 and 75 % of its values that reach the threshold, with their sign
//     positive              the share of those above zero: 0 or 1 means that the feature is one-sided
//   share                   features found / width
//   layers_with_any, positions_with_any   shares of layers, and of tokens, in which one of them is reached
// Throws Error when no map reads the axis, or a hidden state is not finite.
Json outlier_features(Model& model, const std::vector<Record>& batches, const OutlierCriteria& criteria = {});

}  // namespace formwork
