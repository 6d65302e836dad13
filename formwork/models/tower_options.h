// What models of one token tower can be told, and how they write down their layers.
#pragma once
#include "formwork/core/options.h"

namespace formwork {

struct TowerOptions {
  int64_t vocab = 256, vocab_multiple = 1, width = 64, segments = 0, embed_width = 0;
  Json layers = Json::array();
  PartSpec norm = "rms_norm", position = "none", stem, stem_norm;
  double stem_scale = 1, dropout = 0;
  std::string vocab_axis = "vocab";  // not an option of the Spec: models with two vocabularies set it

  void describe(Fields& f);        // everything but segments
  void describe_tower(Fields& f);  // everything but stem, layers and segments
};

struct TowerModelOptions : TowerOptions {
  PartSpec head;
  bool tie = true;
  explicit TowerModelOptions(PartSpec head) : head(std::move(head)) {}
  void describe(Fields& f);
};

struct DecoderOptions : TowerModelOptions {
  DecoderOptions() : TowerModelOptions("lm") {}
};

// "layers": a list of layers, or {"repeat": n, "pattern": [layers]} for hybrids; each names its wiring.
std::vector<PartSpec> expand_layers(const Json& layers, const std::string& where);

}  // namespace formwork
