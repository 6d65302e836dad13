#include "formwork/interop/gguf_architectures.h"

namespace formwork {
namespace {

// Metadata, read with their kinds checked.
class Keys {
 public:
  Keys(const Json& metadata, std::string where) : metadata_(metadata), where_(std::move(where)) {}

  int64_t integer(const std::string& key) const {
    const Json& value = must(key);
    if (!value.is_number_integer()) wrong(key, "an integer", value);
    return value.get<int64_t>();
  }
  int64_t integer(const std::string& key, int64_t fallback) const {
    return metadata_.contains(key) ? integer(key) : fallback;
  }
  double number(const std::string& key) const {
    const Json& value = must(key);
    if (!value.is_number()) wrong(key, "a number", value);
    return value.get<double>();
  }
  double number(const std::string& key, double fallback) const {
    return metadata_.contains(key) ? number(key) : fallback;
  }
  bool tied() const { return metadata_.at("tied").get<bool>(); }
  // Refuses any other value than this one.
  void require(const std::string& key, const Json& value, const char* why) const {
    if (metadata_.contains(key) && metadata_[key] != value)
      fail("{}: metadata '{}': expected {}, found {}: {}", where_, key, value.dump(), metadata_[key].dump(),
           why);
  }
  const std::string& where() const { return where_; }

 private:
  const Json& must(const std::string& key) const {
    if (!metadata_.contains(key)) fail("{}: metadata '{}' is missing", where_, key);
    return metadata_.at(key);
  }
  [[noreturn]] void wrong(const std::string& key, const char* expected, const Json& found) const {
    fail("{}: metadata '{}': expected {}, found {}", where_, key, expected, found.dump());
  }

  const Json& metadata_;
  std::string where_;
};

Json rms_norm(const Keys& keys) {
  return {{"type", "rms_norm"}, {"eps", keys.number("attention.layer_norm_rms_epsilon")}};
}

int64_t head_width(const Keys& keys) {
  const int64_t width = keys.integer("embedding_length"), heads = keys.integer("attention.head_count");
  if (heads < 1)
    fail("{}: metadata 'attention.head_count': expected at least 1, found {}", keys.where(), heads);
  return keys.integer("attention.key_length", width / heads);
}

Json rotary_attention(const Keys& keys, bool interleaved, bool bias) {
  const int64_t heads = keys.integer("attention.head_count"), width = head_width(keys);
  keys.require("rope.scaling.type", "none", "this scaling of rotary positions is not read");
  keys.require("attention.value_length", width, "values as wide as keys");
  Json position = {{"type", "rotary"},
                   {"base", keys.number("rope.freq_base", 10000)},
                   {"layout", interleaved ? "interleaved" : "half"}};
  if (const int64_t turned = keys.integer("rope.dimension_count", width); turned != width)
    position["fraction"] = static_cast<double>(turned) / static_cast<double>(width);
  return {
      {"type", "attention"}, {"heads", heads}, {"kv_heads", keys.integer("attention.head_count_kv", heads)},
      {"head_width", width}, {"fused", false}, {"bias", bias},
      {"position", position}};
}

Json gated_layer(const Keys& keys, const Json& mixer, const char* activation) {
  return {
      {"type", "pre"},
      {"norm", rms_norm(keys)},
      {"mixer", mixer},
      {"channel",
       {{"type", "gated_mlp"}, {"hidden", keys.integer("feed_forward_length")}, {"activation", activation}}}};
}

Json repeated_layers(const Keys& keys, const Json& pattern) {
  constexpr int64_t kMost = 100000;
  const int64_t blocks = keys.integer("block_count"), length = static_cast<int64_t>(pattern.size());
  if (blocks < 0 || blocks > kMost)
    fail("{}: metadata 'block_count': expected at most {} blocks, found {}", keys.where(), kMost, blocks);
  if (blocks % length == 0) return {{"repeat", blocks / length}, {"pattern", pattern}};
  Json list = Json::array();
  for (int64_t i = 0; i < blocks; ++i) list.push_back(pattern[static_cast<size_t>(i % length)]);
  return list;
}

Json decoder(const Keys& keys, const Json& layers, const Json& norm) {
  return {{"type", "decoder"},
          {"vocab", keys.integer("vocab")},
          {"width", keys.integer("embedding_length")},
          {"layers", layers},
          {"norm", norm},
          {"tie", keys.tied()}};
}

Json llama(const Keys& keys) {
  keys.require("expert_count", 0, "mixtures of experts are not read");
  const auto layer = gated_layer(keys, rotary_attention(keys, true, false), "silu");
  return decoder(keys, repeated_layers(keys, Json::array({layer})), rms_norm(keys));
}

Json qwen2(const Keys& keys) {
  const auto layer = gated_layer(keys, rotary_attention(keys, false, true), "silu");
  return decoder(keys, repeated_layers(keys, Json::array({layer})), rms_norm(keys));
}

Json gpt2(const Keys& keys) {
  const Json norm = {{"type", "layer_norm"}, {"eps", keys.number("attention.layer_norm_epsilon")}};
  const Json layer = {
      {"type", "pre"},
      {"norm", norm},
      {"mixer",
       {{"type", "attention"},
        {"heads", keys.integer("attention.head_count")},
        {"bias", true},
        {"out_bias", true}}},
      {"channel",
       {{"type", "mlp"}, {"hidden", keys.integer("feed_forward_length")}, {"activation", "gelu_tanh"}}}};
  Json model = decoder(keys, repeated_layers(keys, Json::array({layer})), norm);
  model["position"] = {{"type", "learned"}, {"context", keys.integer("context_length")}};
  return model;
}

void scale_embedding(const Keys& keys, Json& model) {
  model["stem_scale"] = std::sqrt(static_cast<double>(keys.integer("embedding_length")));
}

Json gemma(const Keys& keys) {
  const auto layer = gated_layer(keys, rotary_attention(keys, false, false), "gelu_tanh");
  Json model = decoder(keys, repeated_layers(keys, Json::array({layer})), rms_norm(keys));
  scale_embedding(keys, model);
  return model;
}

// Every other layer sees a window, the first one too.
Json gemma2(const Keys& keys) {
  auto layer = gated_layer(keys, rotary_attention(keys, false, false), "gelu_tanh");
  layer["type"] = "sandwich";
  if (const double cap = keys.number("attn_logit_softcapping", 0); cap > 0)
    layer["mixer"]["score"] = {{"type", "softmax"}, {"cap", cap}};
  auto slid = layer;
  slid["mixer"]["window"] = keys.integer("attention.sliding_window");
  Json model = decoder(keys, repeated_layers(keys, Json::array({slid, layer})), rms_norm(keys));
  if (const double cap = keys.number("final_logit_softcapping", 0); cap > 0)
    model["head"] = {{"type", "lm"}, {"cap", cap}};
  scale_embedding(keys, model);
  return model;
}

struct Architecture {
  const char* name;
  Json (*model)(const Keys&);
  bool rotary, interleaved, gated;
};

const std::vector<Architecture>& table() {
  static const std::vector<Architecture> all = {{"llama", llama, true, true, true},
                                                {"qwen2", qwen2, true, false, true},
                                                {"gpt2", gpt2, false, false, false},
                                                {"gemma", gemma, true, false, true},
                                                {"gemma2", gemma2, true, false, true}};
  return all;
}

const Architecture& architecture_of(const std::string& name, const std::string& where) {
  for (const auto& entry : table())
    if (name == entry.name) return entry;
  fail_unknown(where + ": architecture", name, gguf_architectures());
}

}  // namespace

const std::vector<std::string>& gguf_architectures() {
  static const auto names = [] {
    std::vector<std::string> names;
    for (const auto& entry : table()) names.emplace_back(entry.name);
    return names;
  }();
  return names;
}

Json gguf_model(const std::string& architecture, const Json& metadata, const std::string& where) {
  const auto& entry = architecture_of(architecture, where);
  return entry.model(Keys(metadata, where));
}

bool gguf_interleaved(const std::string& architecture) {
  return architecture_of(architecture, "gguf").interleaved;
}

Json gguf_metadata(const std::string& architecture, const Json& model) {
  const auto& entry = architecture_of(architecture, "gguf");
  if (model.at("type") != "decoder" || model.at("layers").empty()) return nullptr;
  const Json& layer = model.at("layers").at(0);
  const Json mixer = layer.value("mixer", Json()), channel = layer.value("channel", Json());
  if (!mixer.is_object() || !channel.is_object() || !mixer.contains("heads") || !channel.contains("hidden"))
    return nullptr;
  const Json& position = entry.rotary ? mixer.at("position") : model.at("position");
  if (position.at("type") != (entry.rotary ? "rotary" : "learned")) return nullptr;
  Json metadata = {{"vocab", model.at("vocab")},
                   {"tied", model.at("tie")},
                   {"embedding_length", model.at("width")},
                   {"block_count", model.at("layers").size()},
                   {"feed_forward_length", channel.at("hidden")},
                   {"attention.head_count", mixer.at("heads")}};
  const char* eps = entry.rotary ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
  // Numbers stay numbers where they happen to be whole: the file tells kinds apart.
  metadata[eps] = layer.at("norm").at("eps").get<double>();
  if (!entry.rotary) {
    metadata["context_length"] = position.at("context");
    return metadata;
  }
  const int64_t head = mixer.at("head_width");
  // Rotary positions have no largest one: this is what other programs set aside.
  metadata["context_length"] = 8192;
  metadata["attention.head_count_kv"] = mixer.at("kv_heads");
  metadata["attention.key_length"] = metadata["attention.value_length"] = head;
  metadata["rope.freq_base"] = position.at("base").get<double>();
  metadata["rope.dimension_count"] =
      static_cast<int64_t>(position.at("fraction").get<double>() * static_cast<double>(head));
  const auto number = [](const Json& part, const char* key) {
    return part.value(key, Json(0.0)).get<double>();
  };
  if (architecture == "gemma2") {
    metadata["attention.sliding_window"] = mixer.at("window");
    metadata["attn_logit_softcapping"] = number(mixer.at("score"), "cap");
    metadata["final_logit_softcapping"] = number(model.at("head"), "cap");
  }
  return metadata;
}

namespace {

struct Name {
  const char *ours, *theirs;
};
constexpr Name kOutside[] = {
    {"embed", "token_embd"}, {"position", "position_embd"}, {"norm", "output_norm"}, {"head", "output"}};
constexpr Name kInside[] = {{"mixer.norm", "attn_norm"},
                            {"mixer.qkv", "attn_qkv"},
                            {"mixer.query", "attn_q"},
                            {"mixer.key", "attn_k"},
                            {"mixer.value", "attn_v"},
                            {"mixer.out", "attn_output"},
                            {"mixer.norm_after", "post_attention_norm"},
                            {"channel.norm", "ffn_norm"},
                            {"channel.gate_up.0", "ffn_gate"},
                            {"channel.gate_up.1", "ffn_up"},
                            {"channel.up", "ffn_up"},
                            {"channel.down", "ffn_down"},
                            {"channel.norm_after", "post_ffw_norm"}};

// "layers.3.mixer.out" -> ("3", "mixer.out"); empty where the prefix is another.
std::pair<std::string, std::string> parted(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix)) return {};
  const auto dot = name.find('.', prefix.size());
  if (dot == std::string::npos) return {};
  return {name.substr(prefix.size(), dot - prefix.size()), name.substr(dot + 1)};
}

template <class Names>
std::string translated(const std::string& name, const Names& names, const char* Name::*from,
                       const char* Name::*to) {
  for (const auto& entry : names)
    if (name == entry.*from) return entry.*to;
  return "";
}

}  // namespace

std::string gguf_name(const std::string& path) {
  const auto [layer, inside] = parted(path, "layers.");
  if (layer.empty()) return translated(path, kOutside, &Name::ours, &Name::theirs);
  const auto theirs = translated(inside, kInside, &Name::ours, &Name::theirs);
  return theirs.empty() ? "" : fmt::format("blk.{}.{}", layer, theirs);
}

std::string path_of_gguf(const std::string& architecture, const std::string& name) {
  const auto [layer, inside] = parted(name, "blk.");
  if (layer.empty()) return translated(name, kOutside, &Name::theirs, &Name::ours);
  if (inside == "ffn_up" && !architecture_of(architecture, "gguf").gated)
    return fmt::format("layers.{}.channel.up", layer);
  const auto ours = translated(inside, kInside, &Name::theirs, &Name::ours);
  return ours.empty() ? "" : fmt::format("layers.{}.{}", layer, ours);
}

}  // namespace formwork
