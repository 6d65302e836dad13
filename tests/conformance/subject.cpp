#include "conformance/subject.h"

#include "conformance/samples.h"
#include "formwork/activations/activation.h"
#include "formwork/linear/linear_map.h"
#include "formwork/norms/norm.h"
#include "formwork/positions/position.h"
#include "formwork/scores/score.h"
#include "formwork/wiring/wiring.h"

namespace formwork::conformance {
namespace {

Json alone(const std::string& kind, const Json& part, bool causal) {
  Json model = {{"type", "part"}, {"kind", kind}, {"part", part}, {"width", kWidth}, {"causal", causal}};
  if (part.contains("memory")) model["memory_width"] = kMemoryWidth;
  return {{"formwork", 1}, {"model", model}};
}

void add(std::vector<Subject>& list, const std::string& label, const Json& spec,
         std::map<std::string, std::string> without = {}) {
  list.push_back({label, spec, std::move(without)});
}

template <class Kind>
void add_kind(std::vector<Subject>& list, const std::string& defaults = "") {
  const std::string kind = Kind::kind();
  const bool mixes = kind == "mixers" || kind == "wiring";
  for (const auto& name : Registry<Kind>::names()) {
    const auto [first, last] = samples().equal_range(kind + "/" + name);
    std::vector<Sample> chosen;
    for (auto it = first; it != last; ++it) chosen.push_back(it->second);
    if (chosen.empty())
      chosen.push_back({"{\"type\": \"" + name + "\"" + (defaults.empty() ? "" : ", " + defaults) + "}", {}});
    for (size_t i = 0; i < chosen.size(); ++i) {
      const auto label = fmt::format("{}/{}/{}", kind, name, i);
      const auto part = Json::parse(chosen[i].part);
      add(list, label + (mixes ? "/causal" : ""), alone(kind, part, true), chosen[i].without);
      if (mixes) add(list, label + "/bidirectional", alone(kind, part, false), chosen[i].without);
    }
  }
}

}  // namespace

std::vector<Subject> subjects() {
  std::vector<Subject> list;
  add_kind<TokenMixer>(list);
  add_kind<ChannelMixer>(list);
  add_kind<Norm>(list);
  add_kind<Activation>(list);
  add_kind<Position>(list);
  add_kind<Wiring>(list, wiring_body());
  const Json attention = {{"type", "attention"}, {"heads", 2}}, mlp = {{"type", "mlp"}, {"hidden", 6}};
  const auto inside = [&](const char* label, const std::string& name, const char* kind, Json part,
                          const char* option) {
    part[option] = name;
    add(list, fmt::format("{}/{}/inside", label, name), alone(kind, part, true));
  };
  for (const auto& name : Registry<Position>::names())
    inside("positions", name, "mixers", attention, "position");
  for (const auto& name : Registry<Score>::names()) inside("scores", name, "mixers", attention, "score");
  for (const auto& name : Registry<Activation>::names())
    inside("activations", name, "channels", mlp, "activation");
  for (const auto& name : Registry<LinearMap>::names()) {
    const Json wide = {{"type", "mlp"}, {"hidden", 8}};
    auto spec = alone("wiring", {{"type", "pre"}, {"mixer", attention}, {"channel", wide}}, true);
    const auto [first, last] = samples().equal_range("linear/" + name);
    std::vector<Json> maps;
    for (auto it = first; it != last; ++it) maps.push_back(Json::parse(it->second.part));
    if (maps.empty()) maps.push_back({{"type", name}});
    for (size_t i = 0; i < maps.size(); ++i) {
      spec["linear"] = {{"part.mixer.*", maps[i]}, {"part.channel.*", maps[i]}};
      add(list, fmt::format("linear/{}/{}/inside", name, i), spec);
    }
  }
  return list;
}

std::shared_ptr<Model> make(const Json& spec, at::ScalarType dtype) {
  auto model = build_model(Spec::from_json(spec, "conformance"), 7, dtype);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : model->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value), 0.3);
  return model;
}

Record record(const Model& model, const Tensor& x) {
  Record in = {{"x", x}};
  if (model.spec().model.options.contains("memory_width"))
    in["memory"] = at::linspace(-1, 1, x.size(0) * 3 * kMemoryWidth, at::kDouble)
                       .view({x.size(0), 3, kMemoryWidth})
                       .to(x.scalar_type());
  return in;
}

Tensor run(Model& model, const Record& in) {
  auto ctx = model.make_context();
  return model.forward(ctx, in).at("y");
}

}  // namespace formwork::conformance
