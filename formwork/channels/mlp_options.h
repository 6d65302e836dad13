// What MLPs can be told.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct HiddenOptions {
  int64_t hidden = 0;
  PartSpec activation;
  bool bias;
  double dropout = 0;

  HiddenOptions(const char* activation, bool bias) : activation(activation), bias(bias) {}
  void describe(Fields& f, const char* hidden_doc, const char* activation_doc) {
    f.integer("hidden", hidden, hidden_doc);
    f.part("activation", activation, "activations", activation_doc);
    f.flag("bias", bias, "bias on the maps");
    f.number("dropout", dropout, "dropout on the hidden units", 0, 1);
  }
};

struct MlpOptions : HiddenOptions {
  MlpOptions() : HiddenOptions("gelu", /*bias=*/true) {}
  void describe(Fields& f) {
    HiddenOptions::describe(f, "hidden width; 0: 4 x width", "between the two maps");
  }
};

struct GatedMlpOptions : HiddenOptions {
  GatedMlpOptions() : HiddenOptions("silu", /*bias=*/false) {}
  void describe(Fields& f) {
    HiddenOptions::describe(f, "hidden width; 0: 8/3 x width, rounded up to a multiple of 8",
                            "on the gate: sigmoid, relu, gelu, silu");
  }
};

}  // namespace formwork
