#include "formwork/models/tower_options.h"

#include <algorithm>

namespace formwork {

namespace {

constexpr int64_t kMostLayers = 10000;  // a few bytes of a Spec must not ask for gigabytes

}  // namespace

void TowerOptions::describe_tower(Fields& f) {
  f.integer("vocab", vocab, "size of the vocabulary", 1, 1 << 30);
  f.integer("vocab_multiple", vocab_multiple,
            "the vocabulary that a task asks for is rounded up to a multiple of this", 1, 1 << 16);
  f.integer("width", width, "channels of the residual stream", 1, 1 << 20);
  f.part("norm", norm, "norms", "final norm", true);
  f.part("position", position, "positions", "positions added to the embedding");
  f.integer("embed_width", embed_width,
            "channels of an embedding, which a map takes to the width; 0: the width", 0, 1 << 20);
  f.part("stem_norm", stem_norm, "norms", "norm after the embedding", true);
  f.number("stem_scale", stem_scale, "factor on the embedding", 0, 1e6);
  f.number("dropout", dropout, "dropout on the embedding", 0, 1);
}

void TowerOptions::describe(Fields& f) {
  describe_tower(f);
  f.part("stem", stem, "stems", "what makes the stream of tokens that are no ids; absent: an embedding",
         true);
  f.json("layers", layers, "layers, or {\"repeat\": n, \"pattern\": [layers]}");
}

void TowerModelOptions::describe(Fields& f) {
  TowerOptions::describe(f);
  f.part("head", head, "heads", "what is read off the last stream");
  f.flag("tie", tie, "a head over the vocabulary shares the embedding's matrix");
}

std::vector<PartSpec> expand_layers(const Json& layers, const std::string& where) {
  std::vector<PartSpec> list;
  const auto add = [&](const Json& items, const std::string& place) {
    if (!items.is_array()) fail("{}: expected a list of layers, found {}", place, items.dump());
    for (size_t i = 0; i < items.size(); ++i) {
      Json item = items[i];
      if (item.is_object() && !item.contains("type")) item["type"] = "pre";
      list.push_back(PartSpec::from_json(item, fmt::format("{}[{}]", place, i)));
    }
  };
  if (layers.is_array()) {
    add(layers, where);
    return list;
  }
  const std::vector<std::string> keys = {"repeat", "pattern"};
  if (!layers.is_object())
    fail("{}: expected a list of layers or {{\"repeat\": n, \"pattern\": [...]}}", where);
  for (const auto& [key, value] : layers.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) fail_unknown(where + ": key", key, keys);
  const Json repeat = layers.value("repeat", Json(1));
  const Json pattern = layers.value("pattern", Json());
  const auto most = kMostLayers / std::max<int64_t>(1, static_cast<int64_t>(pattern.size()));
  if (!repeat.is_number_integer() || repeat.get<int64_t>() < 0 || repeat.get<int64_t>() > most)
    fail("{}: \"repeat\" must be an integer in [0, {}], found {}", where, most, repeat.dump());
  for (int64_t i = 0; i < repeat.get<int64_t>(); ++i) add(pattern, where + ".pattern");
  return list;
}

}  // namespace formwork
