// What the families of images share: the patch stem; and what ViT and DeiT share, an encoder of pre-norm
// layers over it.
#pragma once
#include "formwork/interop/families/family.h"

namespace formwork {

// The patch stem of "image_size", "patch_size" and "num_channels", and those keys of a config from it.
Json patch_stem(const Config& config);
Json their_patch_stem(const Json& stem);
// Its convolution, tokens and positions; `theirs` ends in a dot.
void patch_rules(WeightRules& rules, const std::string& theirs);

// ViT's layers with this head; `distillation_token`: DeiT's.
Spec vit_spec(const Config& config, const Json& head, bool distillation_token);
// The encoder alone: its head, with ViT's pooler.
Json vit_pooler(const Config& config);
void vit_rules(WeightRules& rules, const std::string& prefix);
// A config of the model without "architectures"; null where it is no such model.
Json vit_config(const Json& spec, bool distillation_token);

}  // namespace formwork
