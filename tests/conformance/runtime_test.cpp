// The runtime against the plain path: every registered part inside a decoder, and random compositions of
// them. Logits agree to rounding, and the runtime agrees with itself bit for bit however tokens are cut. A
// decoder that it refuses names the part.
#include <random>

#include "conformance/samples.h"
#include "conformance/suite.h"
#include "formwork/activations/activation.h"
#include "formwork/channels/channel_mixer.h"
#include "formwork/decode/fast_path.h"
#include "formwork/interop/inventory_parameters.h"
#include "formwork/norms/norm.h"
#include "formwork/positions/position.h"
#include "formwork/positions/rotary_scaling.h"
#include "formwork/runtime/model.h"
#include "formwork/scores/score.h"
#include "formwork/wiring/wiring.h"

namespace formwork::conformance {
namespace {

constexpr int64_t kTokens = 11;

// Logits [1, T, V] of a row, taken token by token: 8-bit maps choose outliers among the tokens of a call, the
// runtime those of each token.
Tensor plain_logits(Model& model, const Tensor& row) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  StateOptions options;
  options.dtype = model.inventory().dtype;
  auto state = model.make_state(ctx, {}, options);
  std::vector<Tensor> parts;
  for (int64_t t = 0; t < row.size(1); ++t)
    parts.push_back(model.append(ctx, {{"input_ids", row.narrow(1, t, 1)}}, state).at("logits"));
  return at::cat(parts, 1);
}

Tensor runtime_logits(FastPath& path, const Tensor& ids, const std::vector<int64_t>& cuts) {
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (const int64_t count : cuts) {
    parts.push_back(path.append_all(ids.narrow(1, at, count)));
    at += count;
  }
  return at::cat(parts, 1);
}

std::unique_ptr<FastPath> fast_path(const Model& model, int64_t rows, std::string& reason) {
  StateOptions options;
  options.batch = rows;
  return FastPath::make(model, options, reason);
}

// Some ids [2, kTokens] of the model's vocabulary.
Tensor ids_for(const Model& model) {
  at::manual_seed(5);
  return at::randint(model.spec().model.options.at("vocab").get<int64_t>(), {2, kTokens}, at::kLong);
}

// How far float32 itself is from the function: a model may sharpen rounding (updates that are
// orthogonalized).
double rounding(Model& model, const Tensor& row, const Tensor& found) {
  const auto exact = make(model.spec().to_json(), at::kDouble);
  const at::NoGradGuard guard;
  for (auto& param : exact->inventory().params)
    param.value.copy_(model.inventory().by_name.at(param.name)->value);
  return gap(found.to(at::kDouble), plain_logits(*exact, row));
}

// Whether the runtime takes the model; then it must agree with the plain path.
bool agrees(Model& model, std::string& reason, double tolerance = 1e-5) {
  const auto ids = ids_for(model);
  const auto whole = fast_path(model, 2, reason);
  if (!whole) return false;
  const auto found = runtime_logits(*whole, ids, {kTokens});
  EXPECT_TRUE(runtime_logits(*fast_path(model, 2, reason), ids, {1, 4, 1, 5}).equal(found))
      << "cut otherwise";
  for (int64_t row = 0; row < 2; ++row) {
    const auto expected = plain_logits(model, ids.narrow(0, row, 1));
    const double scale = std::max(1.0, expected.abs().max().item<double>());
    const double apart = gap(found.narrow(0, row, 1), expected);
    if (apart < tolerance * scale) continue;
    EXPECT_LT(apart, 2 * rounding(model, ids.narrow(0, row, 1), expected))
        << "and more than " << tolerance * scale;
  }
  return true;
}

// A decoder of two layers around `layer`.
Json decoder_of(const Json& layer, const Json& more = Json::object()) {
  Json whole = {{"mixer", {{"type", "attention"}, {"heads", 2}}},
                {"channel", {{"type", "mlp"}, {"hidden", 8}}}};
  if (!layer.is_null()) whole.update(layer);
  Json model = {{"type", "decoder"}, {"vocab", kVocab}, {"width", kWidth}};
  model["layers"] = {{"repeat", 2}, {"pattern", Json::array({whole})}};
  model.update(more);
  return {{"formwork", 1}, {"model", model}};
}

std::vector<Json> parts_of(const std::string& kind, const std::vector<std::string>& names) {
  std::vector<Json> parts;
  for (const auto& name : names) {
    const auto [first, last] = samples().equal_range(kind + "/" + name);
    for (auto it = first; it != last; ++it) parts.push_back(Json::parse(it->second.part));
    if (first == last) parts.push_back({{"type", name}});
  }
  return parts;
}

struct DecoderCase {
  std::string label;
  Json spec;
};
void PrintTo(const DecoderCase& decoder, std::ostream* out) { *out << decoder.spec.dump(); }

// A decoder for every part of every kind that decoders are made of; those that cannot be built causal are
// left to the suites of encoders.
std::vector<DecoderCase> decoders() {
  std::vector<DecoderCase> list;
  const auto add = [&](const std::string& kind, const Json& part, Json spec) {
    const auto name = part.is_object() && part.contains("type") ? part["type"].get<std::string>() : "none";
    list.push_back({fmt::format("{}_{}_{}", kind, name, list.size()), std::move(spec)});
  };
  for (const auto& mixer : parts_of("mixers", Registry<TokenMixer>::names()))
    add("mixer", mixer, decoder_of({{"mixer", mixer}}));
  for (const auto& channel : parts_of("channels", Registry<ChannelMixer>::names()))
    add("channel", channel, decoder_of({{"channel", channel}}));
  for (const auto& norm : parts_of("norms", Registry<Norm>::names()))
    add("norm", norm, decoder_of({{"norm", norm}}, {{"norm", norm}, {"stem_norm", norm}}));
  for (const auto& activation : Registry<Activation>::names())
    for (const char* type : {"mlp", "gated_mlp"})
      add(std::string("activation_") + type, {{"type", activation}},
          decoder_of({{"channel", {{"type", type}, {"hidden", 6}, {"activation", activation}}}}));
  for (const auto& position : parts_of("positions", Registry<Position>::names())) {
    add("mixer_position", position,
        decoder_of({{"mixer", {{"type", "attention"}, {"heads", 2}, {"position", position}}}}));
    add("stem_position", position, decoder_of({}, {{"position", position}}));
  }
  for (const auto& scaling : Registry<RotaryScaling>::names()) {
    Json rotary = {{"type", "rotary"}, {"scaling", {{"type", scaling}}}};
    if (scaling != "none") rotary["scaling"]["factor"] = 3;
    if (scaling != "none" && scaling != "linear" && scaling != "ntk") rotary["scaling"]["context"] = 4;
    add("scaling", {{"type", scaling}},
        decoder_of({{"mixer", {{"type", "attention"}, {"heads", 2}, {"position", rotary}}}}));
  }
  for (const auto& score : parts_of("scores", Registry<Score>::names()))
    add("score", score, decoder_of({{"mixer", {{"type", "attention"}, {"heads", 2}, {"score", score}}}}));
  for (const auto& wiring : Registry<Wiring>::names()) {
    if (wiring == "looped") continue;  // the model's own sample has one
    add("wiring", {{"type", wiring}}, decoder_of({{"type", wiring}}));
  }
  for (const auto& map : parts_of("linear", Registry<LinearMap>::names())) {
    auto spec = decoder_of({});
    spec["linear"] = {{"layers.*", map}};
    add("linear", map, spec);
  }
  for (const auto& subject : model_subjects())
    if (subject.spec["model"]["type"] == "decoder" && subject.field == "input_ids")
      add("sample", {}, subject.spec);
  return list;
}

std::string label_of_decoder(const testing::TestParamInfo<DecoderCase>& info) { return info.param.label; }

// What the runtime alone says of the model; empty: it takes it.
std::string refusal_alone(const Model& model) {
  const auto tensors = values_of(model.inventory());
  try {
    runtime::Model alone(model.spec(), tensors);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

class RuntimeForm : public testing::TestWithParam<DecoderCase> {};
class RandomForm : public testing::Test {};

TEST_P(RuntimeForm, AgreesWithThePlainPathOrNamesThePart) {
  std::shared_ptr<Model> model;
  try {
    model = make(GetParam().spec, at::kFloat);
  } catch (const Error& error) {
    GTEST_SKIP() << "no decoder: " << error.what();
  }
  const auto alone = refusal_alone(*model);
  std::string reason;
  EXPECT_TRUE(agrees(*model, reason)) << reason;
  // Steps that the runtime alone refuses are LibTorch's.
  EXPECT_EQ(reason.substr(0, alone.size()), alone);
  if (alone.empty()) return;
  EXPECT_NE(alone.find("has no runtime form"), std::string::npos) << alone;
  EXPECT_EQ(alone.find("layers."), 0U) << alone;
}

TEST(RuntimeForm, OfADecoderOverVectorsIsRefusedWithTheStem) {
  auto spec = decoder_of({}, {{"stem", {{"type", "linear"}, {"features", 3}}}, {"head", "regression"}});
  std::string reason;
  EXPECT_FALSE(fast_path(*make(spec, at::kFloat), 1, reason));
  EXPECT_EQ(reason, "stem: 'linear' (only token ids have) has no runtime form");
}

INSTANTIATE_TEST_SUITE_P(Registered, RuntimeForm, testing::ValuesIn(decoders()), label_of_decoder);

// Random Specs of parts that have a runtime form.
class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<unsigned>(high - low + 1));
  }
  bool coin() { return between(0, 1) == 1; }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[between(0, static_cast<int64_t>(list.size()) - 1)];
  }

  Json norm() {
    const std::string type = one_of({"rms_norm", "layer_norm", "batch_norm"});
    Json norm = {{"type", type}, {"gain", coin()}};
    if (type != "rms_norm") norm["bias"] = coin();
    return norm;
  }
  Json position() {
    const std::string type = one_of({"none", "rotary", "rotary", "alibi", "t5"});
    if (type != "rotary") return {{"type", type}};
    Json rotary = {
        {"type", type}, {"layout", one_of({"half", "interleaved"})}, {"base", one_of({100, 10000})}};
    const std::string scaling = one_of({"none", "linear", "ntk", "dynamic", "yarn", "llama3"});
    rotary["scaling"] = {{"type", scaling}};
    if (scaling != "none") rotary["scaling"]["factor"] = between(2, 4);
    if (scaling == "dynamic" || scaling == "yarn" || scaling == "llama3") rotary["scaling"]["context"] = 6;
    return rotary;
  }
  Json state_space() {
    if (coin()) return {{"type", "mamba"}, {"d_state", between(1, 5)}, {"d_conv", between(1, 4)}};
    return {{"type", "mamba2"},           {"d_state", between(1, 5)},
            {"d_conv", between(1, 4)},    {"head_width", between(2, 4) / 2 * 2},
            {"groups", between(1, 2)},    {"bias", coin()},
            {"conv_bias", coin()},        {"norm", coin()},
            {"norm_before_gate", coin()}, {"dt_high", coin() ? 0.05 : 0.0}};
  }
  Json stick_breaking() {
    Json mixer = {{"type", "stick_breaking"}, {"heads", one_of({1, 2, 4})}, {"bias", coin()}};
    if (coin()) mixer["head_width"] = one_of({2, 6});
    if (coin()) return mixer;
    mixer["modules"] = between(2, 4), mixer["active"] = between(1, 2), mixer["renormalize"] = coin();
    mixer["gate"] = one_of({"linear", "mlp", "gmm"}), mixer["router_hidden"] = 5;
    return mixer;
  }
  Json mixer() {
    const int64_t kind = between(0, 9);
    if (kind == 0) return {{"type", "average_past"}};
    if (kind == 1) return state_space();
    if (kind == 2) return stick_breaking();
    const int64_t heads = one_of({1, 2, 4});
    Json mixer = {{"type", "attention"},   {"heads", heads}, {"kv_heads", one_of<int64_t>({0, 1, heads})},
                  {"fused", coin()},       {"bias", coin()}, {"out_bias", coin()},
                  {"position", position()}};
    if (coin()) mixer["head_width"] = one_of({2, 4, 6});
    if (coin()) mixer["window"] = between(1, 6);
    if (coin()) mixer["scale"] = 0.7;
    if (coin()) mixer["score"] = one_of({"softmax", "saturated", "stick_breaking"});
    if (coin()) mixer["qk_norm"] = norm();
    return mixer;
  }
  Json channel() {
    const std::string activation =
        one_of({"relu", "relu_squared", "gelu", "gelu_tanh", "silu", "sigmoid", "identity"});
    Json channel = {{"type", one_of({"mlp", "gated_mlp", "experts"})},
                    {"hidden", one_of({4, 6, 8})},
                    {"activation", activation},
                    {"bias", coin()}};
    if (channel["type"] != "experts") return channel;
    channel["experts"] = between(2, 4), channel["active"] = between(1, 2), channel["gated"] = coin();
    channel["renormalize"] = coin(), channel["gate"] = one_of({"linear", "mlp", "gmm"}),
    channel["router_hidden"] = 5;
    return channel;
  }
  Json layer() {
    const int64_t shape = between(0, 6);
    Json layer = {{"type", one_of({"pre", "post", "sandwich"})}, {"norm", norm()}};
    if (shape == 0) layer["type"] = "parallel";
    if (shape != 1) layer["mixer"] = mixer();
    if (shape != 2) layer["channel"] = channel();
    if (shape != 3) return layer;
    return {{"type", "looped"}, {"times", between(1, 3)}, {"layers", Json::array({layer})}};
  }
  Json map() {
    const std::string type =
        one_of({"dense", "low_rank", "stacked", "lora", "int4", "int8", "masked", "block_diagonal"});
    if (type == "low_rank" || type == "lora") return {{"type", type}, {"rank", between(1, 3)}};
    if (type == "int4") return {{"type", type}, {"group", 8}};
    return {{"type", type}};
  }
  Json spec() {
    Json model = {{"type", "decoder"}, {"vocab", 17}, {"width", 8}, {"layers", Json::array()}};
    const int64_t layers = between(1, 3);
    for (int64_t i = 0; i < layers; ++i) model["layers"].push_back(layer());
    model["norm"] = coin() ? norm() : Json();
    model["stem_norm"] = coin() ? norm() : Json();
    model["stem_scale"] = one_of({1.0, 2.5});
    model["position"] =
        one_of<Json>({{{"type", "none"}}, {{"type", "learned"}, {"context", 16}}, {{"type", "sinusoidal"}}});
    model["tie"] = coin();
    model["head"] = {{"type", "lm"}, {"bias", coin()}};
    Json spec = {{"formwork", 1}, {"model", model}, {"linear", Json::object()}};
    for (const char* pattern :
         {"layers.*.qkv", "layers.*.out", "layers.*.up", "layers.*.gate_up", "layers.*.down"})
      if (coin()) spec["linear"][pattern] = map();
    if (between(0, 3) == 0) spec["parts"] = {{"layers.0.channel", nullptr}};
    return spec;
  }

 private:
  std::mt19937 random_;
};

// Banks of experts and odd sizes allow fewer maps than the draw knows; such a Spec builds no model at all and
// is drawn again. So is one whose numbers overflow: a loop of products without a norm.
std::shared_ptr<Model> drawn_model(unsigned& seed) {
  for (;; ++seed) {
    try {
      auto model = make(Draw(seed).spec(), at::kFloat);
      if (plain_logits(*model, ids_for(*model).narrow(0, 0, 1)).abs().max().item<double>() < 1e6)
        return model;
    } catch (const Error&) {
    }
  }
}

// Where inputs become 8-bit codes, the last bit of a number may decide a code.
double tolerance_of(const Model& model) {
  for (const auto& [path, map] : model.spec().linear.items())
    if (map.value("type", "") == "int8") return 5e-5;
  return 1e-5;
}

TEST_F(RandomForm, OfFiftyRandomCompositionsAgreesWithThePlainPath) {
  unsigned seed = 0;
  for (int i = 0; i < 50; ++i, ++seed) {
    const auto model = drawn_model(seed);
    SCOPED_TRACE(model->spec().to_json().dump());
    std::string reason;
    EXPECT_TRUE(agrees(*model, reason, tolerance_of(*model))) << reason;
  }
  EXPECT_LT(seed, 200u) << "most draws build no model";
}

}  // namespace
}  // namespace formwork::conformance
