// Where the token mixers of a model stand in its stack: for what reads or compares them one by one.
#pragma once
#include <string>
#include <vector>

#include "formwork/models/model.h"
#include "formwork/wiring/wiring.h"

namespace formwork {

struct MixingSite {
  int64_t segment = 0;  // of the model, in which the mixer runs
  MixingStep* step = nullptr;
  TokenMixer& mixer() const { return *step->token_mixer(); }
  const std::string& path() const { return step->mixer_path(); }
};

// In the order in which they run; those of a looped wiring once for each loop. Steps that join several mixers
// in ways of their own are left out.
std::vector<MixingSite> mixing_sites(const Model& model);

// The segments [first, last) of each layer of the stack, in order.
struct LayerSegments {
  std::string name;  // "layers.3"
  int64_t first = 0, last = 0;
};
std::vector<LayerSegments> layer_segments(const Model& model);

}  // namespace formwork
