// The model, the step rules and the measured costs of the recipe about local learning.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

// A Swin of 32, 64 and 128 channels, two blocks each, on patches of 4 x 4 pixels of 32 x 32 images: maps of
// 8 x 8, 4 x 4 and 2 x 2. Layers 2 and 5 merge patches.
Spec local_learning_model();

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
