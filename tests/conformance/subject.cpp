#include "conformance/subject.h"

#include "conformance/samples.h"
#include "formwork/activations/activation.h"
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/linear/linear_map.h"
#include "formwork/norms/norm.h"
#include "formwork/positions/position.h"
#include "formwork/scores/score.h"
#include "formwork/stems/stem.h"
#include "formwork/wiring/wiring.h"

namespace formwork::conformance {
namespace {

Subject alone(const std::string& label, const std::string& kind, const Json& part, bool causal,
              std::map<std::string, std::string> without = {}, const std::string& dims = "") {
  Json model = {{"type", "part"}, {"kind", kind}, {"part", part}, {"width", kWidth}, {"causal", causal}};
  if (part.contains("memory")) model["memory_width"] = kMemoryWidth;
  if (!dims.empty()) model["dims"] = Json::parse(dims);
  return {label, {{"formwork", 1}, {"model", model}}, std::move(without)};
}

std::vector<Sample> samples_of(const std::string& kind, const std::string& name,
                               const std::string& defaults = "") {
  std::vector<Sample> chosen;
  const auto [first, last] = samples().equal_range(kind + "/" + name);
  for (auto it = first; it != last; ++it) chosen.push_back(it->second);
  if (chosen.empty())
    chosen.push_back(
        {"{\"type\": \"" + name + "\"" + (defaults.empty() ? "" : ", " + defaults) + "}", {}, ""});
  return chosen;
}

template <class Kind>
void add_kind(std::vector<Subject>& list, const std::string& defaults = "") {
  const std::string kind = Kind::kind();
  const bool mixes = kind == "mixers" || kind == "wiring";
  for (const auto& name : Registry<Kind>::names()) {
    const auto chosen = samples_of(kind, name, defaults);
    for (size_t i = 0; i < chosen.size(); ++i) {
      const auto label = fmt::format("{}/{}/{}", kind, name, i);
      const auto part = Json::parse(chosen[i].part);
      const auto& [text, without, dims] = chosen[i];
      list.push_back(alone(label + (mixes ? "/causal" : ""), kind, part, true, without, dims));
      if (mixes) list.push_back(alone(label + "/bidirectional", kind, part, false, without, dims));
    }
  }
}

Json first_sample(const std::string& kind, const std::string& name) {
  return Json::parse(samples_of(kind, name)[0].part);
}

Subject tokens(const std::string& label, const std::string& type, const Json& mixer, const Json& more = {}) {
  Json layer = {{"mixer", mixer}, {"channel", {{"type", "mlp"}, {"hidden", 6}}}};
  Json model = {{"type", type}, {"vocab", kVocab}, {"width", kWidth}};
  model["layers"] = {{"repeat", 2}, {"pattern", Json::array({layer})}};
  if (!more.is_null()) model.update(more);
  return {label, {{"formwork", 1}, {"model", model}}, {}, "input_ids"};
}

// A subject for each field of the output.
void add(std::vector<Subject>& list, const Subject& subject) {
  const at::NoGradGuard guard;
  auto model = make(subject.spec);
  auto ctx = model->make_context();
  const auto out = model->forward(ctx, inputs(subject, 1, 4));
  for (const auto& [field, value] : out) {
    auto& one = list.emplace_back(subject);
    one.output = field, one.per_token = value.dim() == 3;
    if (out.size() == 1) continue;
    one.label += "/" + field;
    one.spec["meta"]["output"] = field;
  }
}

const Json kAttention = {{"type", "attention"}, {"heads", 2}};

// A mixer goes into a decoder where it can be causal.
void add_mixers(std::vector<Subject>& list) {
  for (const auto& name : Registry<TokenMixer>::names()) {
    const auto mixer = first_sample("mixers", name);
    const bool causal = make(alone("", "mixers", mixer, true).spec)->traits().causal;
    const std::string type = causal ? "decoder" : "encoder";
    auto subject = tokens(fmt::format("models/{}/{}", type, name), type, mixer);
    subject.without = samples_of("mixers", name)[0].without;
    add(list, subject);
  }
}

void add_positions(std::vector<Subject>& list) {
  for (const auto& name : Registry<Position>::names()) {
    const auto position = first_sample("positions", name);
    auto inside = kAttention;
    inside["position"] = position;
    auto subject = tokens("models/decoder/position_" + name, "decoder", inside, {{"position", position}});
    try {
      make(subject.spec);
    } catch (const Error&) {  // a scheme that acts in attention alone
      subject.spec["model"].erase("position");
    }
    add(list, subject);
  }
}

void add_heads(std::vector<Subject>& list) {
  for (const auto& name : Registry<Head>::names())
    for (const bool tie : {true, false}) {
      auto subject = tokens(fmt::format("models/encoder/head_{}{}", name, tie ? "" : "_untied"), "encoder",
                            kAttention, {{"head", first_sample("heads", name)}, {"tie", tie}});
      subject.without = samples_of("heads", name)[0].without;
      add(list, subject);
    }
}

// A stem goes into a decoder where it takes a row's tokens one by one.
void add_stems(std::vector<Subject>& list) {
  for (const auto& name : Registry<Stem>::names()) {
    const Json layer = {{"mixer", kAttention}, {"channel", {{"type", "mlp"}, {"hidden", 6}}}};
    const auto subject_in = [&](const std::string& type, const std::string& field) {
      const Json model = {{"type", type},
                          {"width", kWidth},
                          {"stem", first_sample("stems", name)},
                          {"head", "hidden"},
                          {"layers", Json::array({layer})}};
      return Subject{fmt::format("models/{}/stem_{}", type, name),
                     {{"formwork", 1}, {"model", model}},
                     samples_of("stems", name)[0].without,
                     field};
    };
    auto subject = subject_in("decoder", "input_features");
    try {
      make(subject.spec);
    } catch (const Error&) {  // a stem of images
      subject = subject_in("image_encoder", "pixel_values");
    }
    add(list, subject);
  }
}

}  // namespace

std::string Subject::with(const std::string& name) const {
  const std::string ids = "input_ids";
  return field.ends_with(ids) ? field.substr(0, field.size() - ids.size()) + name : name;
}

std::vector<Subject> part_subjects() {
  std::vector<Subject> list;
  add_kind<TokenMixer>(list);
  add_kind<ChannelMixer>(list);
  add_kind<Norm>(list);
  add_kind<Activation>(list);
  add_kind<Position>(list);
  add_kind<Reconstructor>(list);
  add_kind<Wiring>(list, wiring_body());
  const Json mlp = {{"type", "mlp"}, {"hidden", 6}};
  const auto inside = [&](const char* label, const std::string& name, const char* kind, Json part,
                          const char* option) {
    part[option] = name;
    list.push_back(alone(fmt::format("{}/{}/inside", label, name), kind, part, true));
  };
  for (const auto& name : Registry<Position>::names())
    inside("positions", name, "mixers", kAttention, "position");
  for (const auto& name : Registry<Score>::names()) inside("scores", name, "mixers", kAttention, "score");
  for (const auto& name : Registry<Activation>::names())
    inside("activations", name, "channels", mlp, "activation");
  for (const auto& name : Registry<LinearMap>::names()) {
    const Json wide = {{"type", "mlp"}, {"hidden", 8}};
    const auto chosen = samples_of("linear", name);
    for (size_t i = 0; i < chosen.size(); ++i) {
      auto subject =
          alone(fmt::format("linear/{}/{}/inside", name, i), "wiring",
                {{"type", "pre"}, {"mixer", kAttention}, {"channel", wide}}, true, chosen[i].without);
      const auto map = Json::parse(chosen[i].part);
      subject.spec["linear"] = {{"part.mixer.*", map}, {"part.channel.*", map}};
      list.push_back(subject);
    }
  }
  return list;
}

namespace {

std::vector<Subject> find_model_subjects() {
  std::vector<Subject> list;
  add_mixers(list);
  add_positions(list);
  add_heads(list);
  add_stems(list);
  for (const auto& name : Registry<Model>::names()) {
    const auto [first, last] = samples().equal_range("models/" + name);
    for (auto it = first; it != last; ++it) {
      const Json spec = {{"formwork", 1}, {"model", Json::parse(it->second.part)}};
      const bool decodes = spec["model"].contains("decoder_layers"), sees = name == "image_encoder";
      const auto label =
          it == first ? "models/" + name : fmt::format("models/{}/{}", name, std::distance(first, it));
      add(list, {label, spec, it->second.without,
                 decodes                          ? "decoder_input_ids"
                 : sees                           ? "pixel_values"
                 : spec["model"].contains("stem") ? "input_features"
                                                  : "input_ids"});
    }
  }
  return list;
}

}  // namespace

std::vector<Subject> model_subjects() {
  static const auto list = find_model_subjects();
  return list;
}

std::vector<Subject> subjects() {
  auto list = part_subjects();
  for (auto& subject : model_subjects()) list.push_back(std::move(subject));
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

Record inputs(const Subject& subject, int64_t rows, int64_t tokens, at::ScalarType dtype) {
  const auto random = [&](int64_t n, int64_t width) {
    return at::randn({rows, n, width}, at::kDouble).to(dtype);
  };
  if (subject.is_part()) {
    const Json dims = subject.spec["model"].value("dims", Json::object());
    for (const auto& [name, size] : dims.items())
      tokens = (name == "height" ? 1 : tokens) * size.get<int64_t>();
    Record in = {{"x", random(tokens, kWidth)}};
    if (subject.spec["model"].contains("memory_width")) in["memory"] = random(3, kMemoryWidth);
    return in;
  }
  if (subject.field == "pixel_values") {
    const Json& stem = subject.spec["model"]["stem"];
    const int64_t height = stem.value("image", 224), width = stem.value("image_width", height);
    return {
        {subject.field, at::randn({rows, stem.value("channels", 3), height, width}, at::kDouble).to(dtype)}};
  }
  if (subject.field == "input_features")
    return {{subject.field, random(tokens, subject.spec["model"]["stem"].value("features", 1))}};
  const auto ids = [&](int64_t n) { return at::randint(kVocab, {rows, n}, at::kLong); };
  Record in = {{subject.field, ids(tokens)}};
  if (subject.field == "decoder_input_ids") {
    in["input_ids"] = ids(4);
    auto mask = at::ones({rows, 4}, at::kLong);
    mask[0][1] = 0;
    in["attention_mask"] = mask;
  }
  return in;
}

Record take_rows(const Record& in, const std::vector<int64_t>& rows) {
  Record some;
  for (const auto& [name, value] : in) some[name] = value.index_select(0, at::tensor(rows, at::kLong));
  return some;
}

Record take_tokens(const Subject& subject, const Record& in, int64_t start, int64_t n) {
  auto some = in;
  some[subject.field] = in.at(subject.field).narrow(1, start, n);
  return some;
}

Tensor only(const Model& model, const Record& out) {
  const auto& meta = model.spec().meta;
  if (const auto named = meta.find("output"); named != meta.end()) return out.at(named->get<std::string>());
  if (out.size() != 1) fail("conformance: expected one field, found {}", out.size());
  return out.begin()->second;
}

Tensor run(Model& model, const Record& in) {
  auto ctx = model.make_context();
  return only(model, model.forward(ctx, in));
}

}  // namespace formwork::conformance
