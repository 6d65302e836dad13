// What the conformance suites build: every registered part with options that make it small. A part without
// an entry is built from its defaults; an entry may leave out suites that its idea excludes, with the reason.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "formwork/core/options.h"

namespace formwork::conformance {

struct Sample {
  std::string part;                            // JSON
  std::map<std::string, std::string> without;  // suite -> reason
  std::string dims = "";                       // JSON: the token dimensions of a part that mixes over several
};

inline std::map<std::string, std::string> whole_maps(std::map<std::string, std::string> more = {}) {
  more["padding"] = more["packing"] = "whole maps alone, of one size in a batch";
  return more;
}

// Keyed "kind/name"; several samples of one part cover its options. Models stand here as a whole; decoders
// and encoders of every mixer, position and head come beside them.
inline const std::multimap<std::string, Sample>& samples() {
  static const std::multimap<std::string, Sample> table = {
      {"mixers/attention", {R"({"type": "attention", "heads": 4, "kv_heads": 2, "bias": true})", {}}},
      {"mixers/attention", {R"({"type": "attention", "heads": 2, "fused": false, "out_bias": true})", {}}},
      {"mixers/attention", {R"({"type": "attention", "heads": 2, "window": 2, "qk_norm": "rms_norm"})", {}}},
      {"mixers/attention", {R"({"type": "attention", "heads": 2, "position": "rotary"})", {}}},
      {"mixers/attention",
       {R"({"type": "attention", "heads": 2,
            "position": {"type": "rotary", "layout": "interleaved"}})",
        {}}},
      {"mixers/attention",
       {R"({"type": "attention", "heads": 2, "memory": "memory"})",
        {{"packing", "packed rows have no memory each"}, {"along", "lines of a grid have no memory each"}}}},
      {"channels/experts",
       {R"({"type": "experts", "experts": 3, "hidden": 4, "bias": true, "renormalize": false})", {}}},
      {"channels/experts", {R"({"type": "experts", "experts": 3, "hidden": 4, "gated": false})", {}}},
      {"channels/experts",
       {R"({"type": "experts", "experts": 3, "hidden": 4, "gate": "gmm", "router_hidden": 5})", {}}},
      {"mixers/mamba", {R"({"type": "mamba", "d_state": 3})", {}}},
      {"mixers/mamba",
       {R"({"type": "mamba", "d_state": 2, "complex": true, "discretization": "zoh", "selective_c": false})",
        {}}},
      {"mixers/mamba2",
       {R"({"type": "mamba2", "d_state": 3, "head_width": 4, "groups": 2, "chunk": 3, "bias": true})", {}}},
      {"mixers/mamba2",
       {R"({"type": "mamba2", "d_state": 2, "head_width": 8, "d_conv": 2, "conv_bias": false, "dt_low": 0.01,
            "dt_high": 0.6, "norm_before_gate": true})",
        {}}},
      {"mixers/mamba2", {R"({"type": "mamba2", "d_state": 2, "head_width": 2, "norm": false})", {}}},
      {"mixers/dla", {R"({"type": "dla", "heads": 2, "chunk": 3})", {}}},
      {"mixers/dla",
       {R"({"type": "dla", "heads": 2, "memory": "matrix", "features": "identity", "d_conv": 1})", {}}},
      {"mixers/swla", {R"({"type": "swla", "heads": 2, "window": 3, "chunk": 2})", {}}},
      {"mixers/swla", {R"({"type": "swla", "heads": 2, "window": 3, "chunk": 2, "features": "exp"})", {}}},
      {"mixers/omeganet", {R"({"type": "omeganet", "heads": 2, "window": 3, "chunk": 4})", {}}},
      {"mixers/omeganet",
       {R"({"type": "omeganet", "heads": 2, "window": 3, "chunk": 2, "memory": "matrix", "features": "identity",
            "key_width": 3, "value_width": 5, "d_conv": 2, "optimizer": "momentum"})",
        {}}},
      {"mixers/deeptransformer", {R"({"type": "deeptransformer", "heads": 2, "chunk": 3})", {}}},
      {"mixers/dot", {R"({"type": "dot", "heads": 2, "window": 3, "chunk": 1})", {}}},
      {"mixers/dot", {R"({"type": "dot", "heads": 2, "window": 3, "chunk": 4, "memory": "matrix"})", {}}},
      {"mixers/atlas", {R"({"type": "atlas", "heads": 2, "window": 3, "chunk": 2})", {}}},
      {"mixers/atlas",
       {R"({"type": "atlas", "heads": 2, "window": 3, "chunk": 4, "features": "exp", "value_width": 6,
            "memory": {"type": "mlp2", "hidden": 3, "activation": "silu"}})",
        {}}},
      {"mixers/atlas_plus_plus",
       {R"({"type": "atlas_plus_plus", "heads": 2, "window": 2, "chunk": 4, "key_width": 3})", {}}},
      {"mixers/stick_breaking", {R"({"type": "stick_breaking", "heads": 2})", {}}},
      {"mixers/stick_breaking",
       {R"({"type": "stick_breaking", "heads": 2, "modules": 3, "active": 2, "router_hidden": 5})", {}}},
      {"channels/mlp", {R"({"type": "mlp", "hidden": 6})", {}}},
      {"channels/gated_mlp", {R"({"type": "gated_mlp", "hidden": 6, "bias": true})", {}}},
      {"positions/learned", {R"({"type": "learned", "context": 16})", {}}},
      {"linear/int8", {R"({"type": "int8"})", {}}},
      {"linear/int8", {R"({"type": "int8", "scheme": "zeropoint-vector", "outlier_weight": "keep16"})", {}}},
      {"linear/int8", {R"({"type": "int8", "scheme": "absmax-row", "threshold": 0})", {}}},
      {"linear/int8", {R"({"type": "int8", "has_fp16_weights": true})", {}}},
      {"mixers/convolution", {R"({"type": "convolution"})", {}}},
      {"mixers/convolution", {R"({"type": "convolution", "groups": 2, "dilation": 2, "bias": false})", {}}},
      {"mixers/linformer", {R"({"type": "linformer", "heads": 2, "k": 3, "tokens": 8})", {}}},
      {"mixers/linformer",
       {R"({"type": "linformer", "heads": 2, "k": 3, "tokens": 8, "sharing": "key_value", "bias": true})",
        {}}},
      {"mixers/linformer",
       {R"({"type": "linformer", "heads": 4, "k": 3, "tokens": 8, "sharing": "headwise", "out_bias": true})",
        {}}},
      {"mixers/linformer",
       {R"({"type": "linformer", "heads": 2, "k": 3, "tokens": 8, "sharing": "none", "head_width": 3})", {}}},
      {"mixers/window_attention",
       {R"({"type": "window_attention", "heads": 2, "window": 2, "shift": 1, "dimensions": 1, "pad": true})",
        whole_maps()}},
      {"mixers/window_attention",
       {R"({"type": "window_attention", "heads": 2, "window": 2, "shift": 1, "bias": false})",
        whole_maps({{"along", "windows lie over height and width together"}}),
        R"({"height": 4, "width": 6})"}},
      {"mixers/window_attention",
       {R"({"type": "window_attention", "heads": 2, "window": 3, "shift": 2, "pad": true, "table": false})",
        whole_maps({{"along", "windows lie over height and width together"}}),
        R"({"height": 4, "width": 5})"}},
      {"mixers/window_mlp",
       {R"({"type": "window_mlp", "groups": 2, "window": 2, "shift": 1, "dimensions": 1, "pad": true})",
        whole_maps()}},
      {"mixers/window_mlp",
       {R"({"type": "window_mlp", "groups": 4, "window": 2, "shift": 1, "bias": false})",
        whole_maps({{"along", "windows lie over height and width together"}}),
        R"({"height": 4, "width": 6})"}},
      {"wiring/patch_merging",
       {R"({"type": "patch_merging"})", whole_maps(), R"({"height": 2, "width": 4})"}},
      {"wiring/patch_merging",
       {R"({"type": "patch_merging", "width": 6, "norm": null, "pad": true})", whole_maps(),
        R"({"height": 3, "width": 2})"}},
      {"stems/linear", {R"({"type": "linear", "features": 3})", {}}},
      {"heads/regression", {R"({"type": "regression", "outputs": 2})", {}}},
      {"heads/pooled_regression", {R"({"type": "pooled_regression", "outputs": 2, "hidden": 5})", {}}},
      {"stems/patch", {R"({"type": "patch", "image": 4, "patch": 2, "norm": "layer_norm"})", whole_maps()}},
      {"heads/distilled",
       {R"({"type": "distilled", "classes": 3})",
        {{"packing", "a row has a class token and a distillation token"}}}},
      {"models/image_encoder",
       {R"({"type": "image_encoder", "width": 8,
            "stem": {"type": "patch", "image": 6, "image_width": 4, "patch": 2},
            "layers": {"repeat": 2, "pattern": [{"norm": "layer_norm", "mixer": {"type": "attention", "heads": 2},
                                                 "channel": {"type": "mlp", "hidden": 6}}]},
            "head": {"type": "classifier", "pool": "first", "classes": 3}})",
        whole_maps()}},
      {"models/image_encoder",
       {R"({"type": "image_encoder", "width": 8,
            "stem": {"type": "patch", "image": 4, "patch": 2, "channels": 2, "distillation_token": true},
            "layers": [{"norm": "layer_norm", "mixer": {"type": "attention", "heads": 2},
                        "channel": {"type": "mlp", "hidden": 6}}],
            "head": {"type": "distilled", "classes": 3}})",
        whole_maps()}},
      {"models/image_encoder",
       {R"({"type": "image_encoder", "width": 8, "drop_path": 0.5,
            "stem": {"type": "patch", "image": 8, "image_width": 4, "patch": 1, "class_token": false,
                     "positions": false, "norm": "layer_norm"},
            "layers": [{"mixer": {"type": "window_attention", "heads": 2, "window": 2}},
                       {"mixer": {"type": "window_attention", "heads": 2, "window": 2, "shift": 1},
                        "channel": {"type": "mlp", "hidden": 6}},
                       {"type": "patch_merging"},
                       {"mixer": {"type": "window_attention", "heads": 4, "window": 2, "shift": 1}}],
            "head": {"type": "pooler", "pool": "mean", "hidden": false}})",
        whole_maps()}},
      {"linear/masked",
       {R"({"type": "masked"})",
        {{"split ends", "a bias of an output that reads nothing goes to the rest, whatever the source"}}}},
      {"linear/masked", {R"({"type": "masked", "pattern": "n_of_m", "n": 2, "m": 4})", {}}},
      {"linear/int4", {R"({"type": "int4", "group": 8})", {}}},
      {"linear/ggml_block", {R"({"type": "ggml_block", "format": "q4_1"})", {}}},
      {"linear/ggml_block", {R"({"type": "ggml_block", "format": "q6_k"})", {}}},
      {"linear/ggml_block", {R"({"type": "ggml_block", "format": "bf16"})", {}}},
      {"heads/classifier",
       {R"({"type": "classifier", "classes": 3, "hidden": true, "hidden_bias": false, "activation": "gelu",
            "norm": "layer_norm"})",
        {}}},
      {"mixers/attention",
       {R"({"type": "attention", "heads": 2, "score": {"type": "softmax", "cap": 2}})", {}}},
      {"norms/rms_norm", {R"({"type": "rms_norm"})", {}}},
      {"norms/rms_norm", {R"({"type": "rms_norm", "offset": 1})", {}}},
      {"wiring/parallel",
       {R"({"type": "parallel", "separate_norms": true, "mixer": {"type": "attention", "heads": 2},
            "channel": {"type": "mlp", "hidden": 6}})",
        {}}},
      {"wiring/parallel",
       {R"({"type": "parallel", "mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 6}})",
        {}}},
      {"wiring/mal",
       {R"({"type": "mal", "memory": {"type": "atlas", "heads": 2, "window": 3, "chunk": 2},
            "attention": {"type": "attention", "heads": 2, "window": 2}, "channel": {"type": "mlp", "hidden": 6}})",
        {}}},
      {"wiring/mag",
       {R"({"type": "mag", "memory": {"type": "omeganet", "heads": 2, "window": 3, "chunk": 2},
            "attention": {"type": "attention", "heads": 2, "window": 2}, "channel": {"type": "mlp", "hidden": 6}})",
        {}}},
      {"wiring/looped",
       {R"({"type": "looped", "layers": [{"type": "pre", "mixer": {"type": "attention", "heads": 2},
           "channel": {"type": "mlp", "hidden": 6}}]})",
        {}}},
      {"models/decoder",
       {R"({"type": "decoder", "vocab": 13, "width": 8, "tie": false, "stem_norm": "layer_norm",
            "layers": [{"type": "looped", "layers": [{"type": "pre", "mixer": {"type": "attention", "heads": 2},
                                                      "channel": {"type": "mlp", "hidden": 6}}]},
                       {"type": "parallel", "norm": "layer_norm", "mixer": {"type": "attention", "heads": 2},
                        "channel": {"type": "experts", "experts": 3, "hidden": 4}}],
            "head": {"type": "lm", "bias": true}})",
        {}}},
      {"models/decoder",
       {R"({"type": "decoder", "vocab": 13, "width": 8, "embed_width": 6,
            "head": {"type": "lm", "project": 6, "scale": 0.5, "cap": 2},
            "layers": [{"mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 6}}]})",
        {}}},
      {"models/decoder",
       {R"({"type": "decoder", "width": 8, "stem": {"type": "linear", "features": 3}, "stem_norm": "layer_norm",
            "position": {"type": "learned", "context": 16}, "norm": null,
            "head": {"type": "regression", "outputs": 2},
            "layers": [{"type": "trunk", "norm": "layer_norm", "mixer": {"type": "attention", "heads": 2},
                        "channel": {"type": "mlp", "hidden": 6}}]})",
        {}}},
      {"models/encoder",
       {R"({"type": "encoder", "vocab": 13, "width": 8, "position": {"type": "learned", "context": 16},
            "layers": [{"type": "post", "norm": "layer_norm", "mixer": {"type": "attention", "heads": 2},
                        "channel": {"type": "mlp", "hidden": 6}}], "norm": null})",
        {}}},
      {"models/encoder_decoder",
       {R"({"type": "encoder_decoder", "vocab": 13, "width": 8,
            "position": {"type": "learned", "context": 16},
            "encoder_layers": [{"mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 6}}],
            "decoder_layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2},
                "cross": {"type": "attention", "heads": 2, "memory": "memory"},
                "channel": {"type": "mlp", "hidden": 6}}]}})",
        {{"packing", "packed rows have no memory each"}}}},
  };
  return table;
}

// Wirings join parts, so what they join is the same for all that have no sample.
inline const char* wiring_body() {
  return R"("mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 6})";
}

// Taps inside a fused kernel: who listens there makes the part leave it for plain operations, whose results
// differ in rounding. Listening anywhere else changes no bit.
inline bool leaves_the_fused_kernel(const std::string& tap) { return tap.ends_with(".weights"); }

// Axes whose entries compete for something, so that an entry left out is not one that is zero. By the end of
// the axis's name, with the reason.
inline const std::map<std::string, std::string>& competing_axes() {
  static const std::map<std::string, std::string> table = {
      {"experts", "an expert that is cut is never chosen, a masked one has the logit 0"},
      {"k", "a projected key that is cut has no weight, a masked one has the logit 0"},
      {"modules", "a module that is cut is never chosen, a masked one has the logit 0"},
  };
  return table;
}

}  // namespace formwork::conformance
