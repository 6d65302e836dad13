// The step rules of the recipe about local learning, and what they cost on its model: "tiny-swin", 32, 64 and
// 128 channels on maps of 8 x 8, 4 x 4 and 2 x 2 patches of 4 x 4 pixels, two blocks each; layers 2 and 5
// merge patches.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

// The rule "local" with these cuts; target "features", "image" or "none". With `conv` the image is given back
// by InfoPro's decoder instead of a linear one.
PartSpec local_rule(const std::vector<std::string>& cuts, const std::string& target, bool conv = false);

// Of one step's gradients on 64 random images, by name of the rule: "<name> bytes", the most that tensors
// held, and "<name> seconds", the shortest of `rounds`. Parameters, their gradients and the optimizer are not
// counted, auxiliary nets' activations are.
Json local_learning_costs(uint64_t seed, int64_t rounds);

// The greatest difference of weights after 10 updates by "plain" and by "local" with one module, and of the
// logits of a model run whole and in segments.
Json local_learning_exactness(uint64_t seed);

}  // namespace formwork
