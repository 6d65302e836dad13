#include "formwork/interop/gguf_form.h"

#include <cmath>

#include "formwork/interop/gguf_architectures.h"
#include "formwork/interop/in_force.h"

namespace formwork {
namespace {

void set_where(Json& part, const char* key, const Json& before, const Json& now) {
  if (part.is_object() && part.contains(key) && part.at(key) == before) part[key] = now;
}

// Sizes that options leave to a rule are written out, so that two models that say the same compare equal.
void write_out(Json& layer, int64_t width) {
  Json &mixer = layer["mixer"], &channel = layer["channel"];
  if (mixer.is_object() && mixer.contains("heads")) {
    const int64_t heads = mixer.at("heads");
    set_where(mixer, "kv_heads", 0, heads);
    set_where(mixer, "head_width", 0, width / heads);
    if (mixer.contains("head_width") && mixer.contains("scale")) {
      const double usual = 1 / std::sqrt(mixer.at("head_width").get<double>());
      if (std::abs(mixer.at("scale").get<double>() - usual) < 1e-9) mixer["scale"] = 0.0;
    }
  }
  if (channel.is_object() && channel.contains("hidden"))
    set_where(channel, "hidden", 0, channel.at("type") == "mlp" ? 4 * width : (8 * width / 3 + 7) / 8 * 8);
}

// Rotary positions in halves and without a scaling, whatever they are.
void level_rotary(Json& layer) {
  Json& mixer = layer["mixer"];
  if (!mixer.is_object() || !mixer.contains("position")) return;
  Json& position = mixer["position"];
  if (!position.is_object() || position.at("type") != "rotary") return;
  position["layout"] = "half";
  if (const auto type = position.at("scaling").at("type");
      type == "linear" || type == "llama3" || type == "ntk")
    position["scaling"] = {{"type", "none"}};
}

double take_offset(Json& norm) {
  if (!norm.is_object() || norm.value("type", "") != "rms_norm") return 0;
  const double offset = norm.at("offset");
  norm["offset"] = 0.0;
  return offset;
}

// A Spec's options in force without what does not count.
struct Level {
  Json spec;
  double offset = 0;
};

Level level(const Spec& spec) {
  Level result{in_force(spec)};
  result.spec["linear"] = Json::object();
  Json& model = result.spec["model"];
  if (!model.contains("layers")) return result;
  const auto offset = take_offset(model["norm"]);
  for (auto& layer : model["layers"]) {
    write_out(layer, model.at("width"));
    level_rotary(layer);
    if (layer.contains("norm") && take_offset(layer["norm"]) != offset)
      fail("export: norms add {} to their gain in one place and something else in another", offset);
  }
  result.offset = offset;
  return result;
}

// What stands in the way of this architecture; empty: nothing. Null metadata: another form altogether.
std::string attempt(const std::string& architecture, const Level& wanted, Json& metadata) {
  metadata = gguf_metadata(architecture, wanted.spec.at("model"));
  if (metadata.is_null()) return "another form";
  Spec spec;
  spec.model = PartSpec::from_json(gguf_model(architecture, metadata, architecture), architecture);
  return first_difference(wanted.spec, level(spec).spec);
}

}  // namespace

GgufForm gguf_form(const Spec& spec) {
  const auto wanted = level(spec);
  auto names = gguf_architectures();
  const auto origin = spec.meta.value("gguf", Json::object()).value("architecture", "");
  std::stable_partition(names.begin(), names.end(), [&](const auto& name) { return name == origin; });
  std::string nearest_try;
  for (const auto& name : names) {
    Json metadata;
    const auto difference = attempt(name, wanted, metadata);
    if (difference.empty()) return {name, std::move(metadata), wanted.offset};
    if (nearest_try.empty() && !metadata.is_null())
      nearest_try = fmt::format("architecture '{}' cannot express {}", name, difference);
  }
  if (nearest_try.empty())
    nearest_try = fmt::format("no architecture of GGUF ({}) has the form of this {}", fmt::join(names, ", "),
                              spec.model.type);
  fail("export: {}", nearest_try);
}

}  // namespace formwork
