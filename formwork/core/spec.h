// Spec: versioned JSON that describes a model completely; saved as formwork.json beside model.safetensors.
//
//   {"formwork": 1,
//    "model":   {"type": "decoder", "vocab": 256, "width": 64, ...},   the template and its parts
//    "linear":  {"layers.*.channel.up": {"type": "low_rank", "rank": 16}},  how maps are represented
//    "parts":   {"layers.3.mixer": null, "layers.*.norm": "rms_norm"}, exchanged or left out, by path
//    "axes":    {"layers.3.mixer.kv_heads": 2},                        sizes after surgery, by axis name
//    "sources": {"layers.1.*": {"type": "shared", "with": "layers.0.*"},
//                "embed.*": {"type": "stored", "frozen": true}},       tied and frozen parameters
//    "attach":  {"layers.*.mixer.out": {"type": "adapter", "width": 8}},  trainable parts on taps
//    "history": [...],                                                 transforms applied, in order
//    "meta":    {...}}                                                 tokenizer, labels, scalers, training
#pragma once
#include <optional>
#include <string>

#include "formwork/core/options.h"

namespace formwork {

struct Spec {
  static constexpr int64_t kVersion = 1;

  PartSpec model;
  Json linear = Json::object();
  Json parts = Json::object();
  Json axes = Json::object();
  Json sources = Json::object();
  Json attach = Json::object();
  Json history = Json::array();
  Json meta = Json::object();

  static Spec from_json(const Json& json, const std::string& where);
  static Spec from_file(const std::string& path);
  Json to_json() const;
};

// The value of the entry whose key equals `name`, or else of the longest key with '*' that matches; or null.
const Json* lookup(const Json& table, const std::string& name);

}  // namespace formwork
