// What the families share that grew from Llama: RMSNorm, rotary grouped attention, a gated MLP, pre-norm.
#pragma once
#include "formwork/interop/families/family.h"

namespace formwork {

// Attention of a config with the usual keys (num_attention_heads, num_key_value_heads, head_dim).
Json rotary_attention(const Config& config, const Json& position, bool bias, bool out_bias);

// One layer, with its mixer and channel mixer.
Json gated_layer(const Config& config, const Json& mixer, const std::string& activation, bool bias = false);

// The decoder of these layers: {"repeat": n, "pattern": [...]} or a list of n. `architecture` that ends in
// "Model" has no head.
Spec decoder_spec(const Config& config, const std::string& architecture, const Json& layers, const Json& norm,
                  bool tied_by_default = false);

// One layer n times.
Json repeated(int64_t times, const Json& layer);

// The window of each layer: "sliding_window" where "layer_types" (or else `slides`) says so; 0: none.
std::vector<int64_t> windows(const Config& config, int64_t layers, int64_t window,
                             const std::function<bool(int64_t layer)>& slides);

// "layers.N" of ours and theirs ("model.layers.N"): embedding, attention, norms, MLP, final norm, head.
void llama_rules(WeightRules& rules, bool mlp = true);
TheirNames llama_names();
// A depthwise convolution along tokens, ours [C, K] and theirs [C, 1, K], with its bias where it has one.
void convolution_rules(WeightRules& rules, const std::string& ours, const std::string& theirs);

// The config of a model of that form, without what a family adds; null where it has another form.
Json llama_config(const Json& spec);
// The mixer of the first layer, and whether all layers are alike.
const Json& first_layer(const Json& spec);

}  // namespace formwork
