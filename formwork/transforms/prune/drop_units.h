// What LLM-Drop (He et al., 2024, "What Matters in Transformers? Not All Attention is Needed") may remove,
// and how much each of it changes the stream:
//
//   S = 1 - mean over real tokens of cos(in, out),   in = the stream before the unit, out = the stream after
//   it
//
// Low S: the unit leaves the direction of the stream as it was. Layers keep their original numbers.
#pragma once
#include <string>
#include <vector>

#include "formwork/transforms/transform.h"

namespace formwork {

struct DropUnit {
  std::string name;             // "layers.3.mixer", or "layers.3" for a whole block
  int64_t layer = 0;            // its original number
  int64_t first = 0, last = 0;  // the model's steps [first, last)
  double score = 0;
};

const std::vector<std::string>& drop_targets();  // attn, mlp, cross, all (attn and mlp), block

// The units of a target in the order of the stack (of an encoder-decoder: in the decoder). Fails, naming the
// step, where no stream passes a unit unchanged: looped, post-norm and sliced layers, and parallel
// layers of which only a part would go.
std::vector<DropUnit> drop_units(const Model& model, const std::string& target);

// Scores every unit in one pass over the data. Without `residual` (an ablation) a unit's own output is
// compared with what its norm gave it; units are then single sub-blocks. Returns the number of forward
// passes.
int64_t score_units(Model& model, const Calibration& data, std::vector<DropUnit>& units,
                    bool residual = true);

// Rank correlation (Spearman, 1904) of two lists; ties share their mean rank. 0 where one of them is
// constant.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

// The scores of one target along a training run, or under several data sets: {"units": [names], "scores":
// [[of a checkpoint]], "spearman": [[between checkpoints]]}. The models have the same units.
Json score_agreement(const std::vector<std::shared_ptr<Model>>& checkpoints,
                     const std::vector<Calibration>& data, const std::string& target);

}  // namespace formwork
