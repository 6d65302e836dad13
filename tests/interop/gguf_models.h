// Small decoders, one for each architecture of GGUF files.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "formwork/models/model_io.h"

namespace formwork {

inline Json gguf_decoder(const Json& layer, const Json& more) {
  Json model = {{"type", "decoder"}, {"vocab", 48}, {"width", 64}, {"norm", layer.at("norm")}};
  model["layers"] = {{"repeat", 2}, {"pattern", Json::array({layer})}};
  model.update(more);
  return {{"formwork", 1}, {"model", model}};
}

inline Json gated_layer(const Json& mixer, const char* activation, const Json& norm) {
  return {{"norm", norm},
          {"mixer", mixer},
          {"channel", {{"type", "gated_mlp"}, {"hidden", 96}, {"activation", activation}}}};
}

// As Hugging Face families have them: maps fused, rotary pairs in halves.
inline std::map<std::string, Json> gguf_specs() {
  const Json norm = {{"type", "rms_norm"}, {"eps", 0x1p-17}},
             plus_one = {{"type", "rms_norm"}, {"eps", 0x1p-17}, {"offset", 1}};
  const Json attention = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 2}, {"position", "rotary"}};
  Json biased = attention, wide = attention, capped = attention;
  biased["bias"] = true;
  wide["head_width"] = capped["head_width"] = 32;
  capped["score"] = {{"type", "softmax"}, {"cap", 8}};
  Json slid = capped;
  slid["window"] = 3;
  Json outer = gated_layer(slid, "gelu_tanh", plus_one), inner = gated_layer(capped, "gelu_tanh", plus_one);
  outer["type"] = inner["type"] = "sandwich";
  const Json scaled = {{"type", "rotary"}, {"scaling", {{"type", "linear"}, {"factor", 2}}}};
  Json stretched = attention;
  stretched["position"] = scaled;
  Json gemma2 = gguf_decoder(inner, {{"stem_scale", 8}, {"head", {{"type", "lm"}, {"cap", 5}}}});
  gemma2["model"]["layers"] = Json::array({outer, inner});
  const Json layer_norm = {{"type", "layer_norm"}};
  const Json gpt2 = {{"norm", layer_norm},
                     {"mixer", {{"type", "attention"}, {"heads", 4}, {"bias", true}, {"out_bias", true}}},
                     {"channel", {{"type", "mlp"}, {"activation", "gelu_tanh"}, {"bias", true}}}};
  return {
      {"llama", gguf_decoder(gated_layer(attention, "silu", norm), {{"tie", false}})},
      {"llama/tied", gguf_decoder(gated_layer(attention, "silu", norm), {{"tie", true}})},
      {"llama/scaled", gguf_decoder(gated_layer(stretched, "silu", norm), {{"tie", false}})},
      {"qwen2", gguf_decoder(gated_layer(biased, "silu", norm), {{"tie", false}})},
      {"gpt2", gguf_decoder(gpt2, {{"position", {{"type", "learned"}, {"context", 16}}}, {"tie", true}})},
      {"gemma", gguf_decoder(gated_layer(wide, "gelu_tanh", plus_one), {{"stem_scale", 8}, {"tie", true}})},
      {"gemma2", gemma2}};
}

inline std::shared_ptr<Model> random_model(const Json& spec) {
  auto model = build_model(Spec::from_json(spec, "test"), 3);
  const at::NoGradGuard guard;
  at::manual_seed(5);
  for (auto& param : model->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value), 0.1);
  return model;
}

}  // namespace formwork
