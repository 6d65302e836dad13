#include "formwork/linear/quantized/int4.h"
#include "formwork/models/built_in_specs.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

std::shared_ptr<Model> biased_decoder() {
  return noisy(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 32,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 4, "bias": true},
                                         "channel": {"type": "gated_mlp", "hidden": 64}}]},
    "position": "learned"}})"),
               at::kFloat);
}

std::vector<LinearMap*> block_int8(const Model& model) {
  std::vector<LinearMap*> maps;
  for (auto* map : model.inventory().maps)
    if (map->type() == "int8") maps.push_back(map);
  return maps;
}

TEST(Compress, SavesFewerBytesAndLoadsTheSameBits) {
  auto model = biased_decoder();
  const std::vector<std::pair<std::string, Json>> methods = {
      {"llm_int8", Json::object()},       {"int4_rtn", {{"group", 32}}},   {"gptq", {{"group", 32}}},
      {"magnitude", {{"sparsity", 0.5}}}, {"wanda", {{"n", 2}, {"m", 4}}}, {"greenformers", {{"rank", 0.5}}}};
  for (const auto& [name, options] : methods) {
    const auto result = apply(name, options, model);
    EXPECT_TRUE(at::equal(logits(*result.model), logits(*reloaded(*result.model, name)))) << name;
    EXPECT_LT(result.model->bytes(), model->bytes()) << name;
    EXPECT_EQ(result.model->spec().history.back()["transform"], name);
    for (auto* map : result.model->inventory().maps)
      for (const auto& row : result.report["maps"])
        if (row["map"] == map->path() && row.contains("bytes")) {
          EXPECT_EQ(row["bytes"].get<int64_t>(), map->bytes()) << map->path();
        }
    EXPECT_THROW(apply(name, options, result.model), Error) << name;  // nothing dense is left
    // Products multiply by dense(); int8 rounds activations besides.
    auto dense = apply("to_dense", Json::object(), result.model).model;
    EXPECT_LT(distance(*dense, *result.model), name == "llm_int8" ? 0.2 : 1e-4) << name;
  }
}

TEST(Gptq, IsNeverWorseThanRoundingToNearestAndMostlyBetter) {
  auto model = biased_decoder();
  for (const Json& options : {Json{{"group", 32}}, Json{{"group", 32}, {"act_order", true}},
                              Json{{"group", 32}, {"block", 12}, {"symmetric", true}}}) {
    const auto report = apply("gptq", options, model).report;
    double ours = 0, theirs = 0;
    for (const auto& row : report["maps"]) {
      if (row.contains("skipped")) continue;
      EXPECT_LE(row["error"].get<double>(), row["error_nearest"].get<double>()) << row["map"];
      ours += row["error"].get<double>(), theirs += row["error_nearest"].get<double>();
    }
    EXPECT_LT(ours, 0.9 * theirs) << options.dump();
    std::cout << options.dump() << ": error " << ours << ", nearest " << theirs << "\n";
  }
}

TEST(Gptq, BlocksDoNotChangeTheResult) {
  auto model = biased_decoder();
  const auto a = apply("gptq", {{"group", 16}, {"block", 128}}, model).model;
  const auto b = apply("gptq", {{"group", 16}, {"block", 5}}, model).model;
  EXPECT_LT(distance(*a, *b), 1e-4);
}

// A decoder whose hidden units are no multiple of the group, with a second block of another width.
std::shared_ptr<Model> with_short_groups() {
  return noisy(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 24,
    "layers": [{"mixer": {"type": "attention", "heads": 4}, "channel": {"type": "gated_mlp", "hidden": 43}},
               {"mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 20}}]}})"),
               at::kFloat);
}

// GPTQ as its paper derives it, without blocks or a factor of the inverse: after each column the inverse of
// the Hessian over the columns that are left, by elimination. W as it is rounded, [out, in].
Tensor gptq_oracle(const Tensor& weight, const Tensor& outer, int64_t group) {
  const int64_t in = weight.size(1);
  auto w = weight.to(at::kDouble).clone(), made = at::zeros_like(w);
  auto inverse = at::linalg_inv(outer + at::eye(in, at::kDouble) * 0.01 * outer.diagonal().mean());
  Int4Grid grid;
  for (int64_t i = 0; i < in; ++i) {
    if (i % group == 0) grid = int4_grid(w.narrow(1, i, std::min(group, in - i)), false);
    const auto column = w.narrow(1, i, 1);
    made.narrow(1, i, 1).copy_(int4_value(int4_codes(column.to(at::kFloat), grid), grid));
    const auto error = (column - made.narrow(1, i, 1)) / inverse[i][i];
    const auto row = inverse[i].clone();
    w.sub_(error * row);
    inverse.sub_(at::outer(row, row) / row[i]);
  }
  return made;
}

TEST(Gptq, AShortLastGroupEqualsAnOracle) {
  const auto model = with_short_groups();
  const auto moments =
      collect_moments(*model, calibration(), input_taps(block_maps(*model)), /*with_outer=*/true);
  for (const int64_t block : {128, 5}) {
    const auto made = apply("gptq", {{"group", 16}, {"block", block}}, model).model;
    int64_t seen = 0;
    for (auto* map : block_maps(*model)) {
      const auto weight = map->dense();
      const auto& outer = moments.at(map->input_tap()).outer;
      const auto ours = gptq_oracle(weight, outer, 16);
      const auto nearest = int4_round(weight, 16, false).value().to(at::kDouble);
      const auto error = [&](const Tensor& value) {
        const auto d = weight - value;
        return (d.matmul(outer) * d).sum(1, /*keepdim=*/true);
      };
      const auto want = at::where(error(ours) > error(nearest), nearest, ours);
      auto& other = map_of(*made, map->path());
      EXPECT_EQ(other.type(), "int4");
      EXPECT_LT(largest(other.dense() - want), 1e-5) << map->path();
      ++seen;
    }
    EXPECT_EQ(seen, 8);
  }
}

TEST(Int4Rtn, ShortLastGroupsAreSavedAndAxesFollow) {
  const at::NoGradGuard guard;
  const auto model = with_short_groups();
  for (const std::string name : {"int4_rtn", "gptq"}) {
    const auto made = apply(name, {{"group", 16}}, model).model;
    EXPECT_TRUE(at::equal(logits(*made), logits(*reloaded(*made, "short_groups"))));
    const auto with_units = [&](const Tensor& index) {
      Edit edit(*made);
      edit.select("layers.0.channel.hidden", index);
      return edit.finish();
    };
    const auto units = [](int64_t first, int64_t end) { return at::arange(first, end, at::kLong); };
    // The whole groups of 16 in another order, the short one of 11 behind them.
    const auto turned = with_units(at::cat({units(16, 32), units(0, 16), units(32, 43)}));
    EXPECT_LT(distance(*made, *turned), 1e-5);
    EXPECT_THROW(with_units(at::cat({units(32, 43), units(0, 32)})), Error);
    EXPECT_THROW(with_units(units(0, 40)), Error);
    EXPECT_THROW(with_units(units(1, 43)), Error);
    // Cut to whole groups, and to a whole and the short one: as the dense model would be cut.
    const auto dense = apply("to_dense", Json::object(), made).model;
    for (const auto& kept : {units(0, 32), at::cat({units(16, 32), units(32, 43)})}) {
      Edit edit(*dense);
      edit.select("layers.0.channel.hidden", kept);
      EXPECT_LT(distance(*with_units(kept), *edit.finish()), 1e-4);
    }
  }
}

// 688 hidden units by 128: five whole groups and one of 48.
TEST(Int4Rtn, CompressesTheWholeBaseDecoder) {
  auto spec = built_in_spec("base-decoder").to_json();
  spec["model"]["vocab"] = 29;
  spec["model"]["layers"]["repeat"] = 1;
  const auto model = build_model(Spec::from_json(spec, "test"), 0);
  for (const std::string name : {"int4_rtn", "gptq"}) {
    const auto made = apply(name, {{"group", 128}}, model);
    for (auto* map : made.model->inventory().maps) {
      if (!is_block_role(map->role())) continue;
      EXPECT_EQ(map->type(), "int4") << map->path();
      EXPECT_EQ(map->bytes(), map->out() * (map->in() / 2 + 5 * ((map->in() + 127) / 128))) << map->path();
    }
    EXPECT_LT(distance(*model, *made.model), 1);
  }
}

TEST(Prune, KeepsTheSharesAskedFor) {
  auto model = biased_decoder();
  auto pruned = apply("wanda", {{"sparsity", 0.25}}, model).model;
  auto pattern = apply("magnitude", {{"n", 1}, {"m", 4}}, model).model;
  int64_t seen = 0;
  for (auto* map : pruned->inventory().maps)
    if (map->type() == "masked") {
      EXPECT_TRUE((map->dense() == 0).sum(1).eq(map->in() / 4).all().item<bool>()) << map->path();
      ++seen;
    }
  for (auto* map : pattern->inventory().maps)
    if (map->type() == "masked") {
      EXPECT_TRUE((map->dense().view({map->out(), -1, 4}) != 0).sum(2).eq(1).all().item<bool>());
      ++seen;
    }
  EXPECT_GE(seen, 8);
}

TEST(LlmInt8, SkipsWhatItIsToldAndNamesBadWeights) {
  auto model = biased_decoder();
  const auto result = apply("llm_int8", {{"skip", Json::array({"*.down"})}}, model);
  for (auto* map : result.model->inventory().maps)
    EXPECT_EQ(map->type() == "int8",
              map->role() != Role::down && map->role() != Role::embed && map->role() != Role::head)
        << map->path();
  const at::NoGradGuard guard;
  model->inventory().by_name.at("layers.1.channel.down.weight")->value[3][4] = std::nan("");
  try {
    apply("llm_int8", Json::object(), model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("layers.1.channel.down': row 3"), std::string::npos)
        << error.what();
  }
}

TEST(LlmInt8, RefusesMapsThatAreCompressedAlready) {
  const auto some = apply("int4_rtn", {{"group", 32}}, biased_decoder()).model;
  EXPECT_NE(refusal("llm_int8", Json::object(), some).find("' is 'int4', expected a dense map"),
            std::string::npos);
  const auto half = apply("llm_int8", {{"skip", Json::array({"*.down"})}}, biased_decoder()).model;
  EXPECT_NE(refusal("llm_int8", Json::object(), half).find("' is 'int8', expected a dense map"),
            std::string::npos);
  // What is left may follow once the others are named.
  const Json others = {{"skip", Json::array({"*.mixer.*", "*.up", "*.gate", "*.gate_up"})}};
  const auto whole = apply("llm_int8", others, half).model;
  for (auto* map : whole->inventory().maps)
    EXPECT_EQ(map->type() == "int8", map->role() != Role::embed && map->role() != Role::head) << map->path();
  EXPECT_NE(
      refusal("llm_int8", {{"threshold", 0}, {"outlier_pool", true}}, biased_decoder()).find("has no effect"),
      std::string::npos);
}

TEST(LlmInt8, EverySchemeSavesAndLoadsTheSameBits) {
  auto model = biased_decoder();
  for (const Json& options :
       {Json{{"scheme", "absmax-tensor"}, {"decomposition", false}}, Json{{"scheme", "absmax-row"}},
        Json{{"scheme", "zeropoint-tensor"}}, Json{{"scheme", "zeropoint-vector"}, {"row_max", "values"}},
        Json{{"outlier_weight", "keep16"}, {"threshold", 2.0}, {"outlier_pool", true}},
        Json{{"has_fp16_weights", true}}}) {
    const auto result = apply("llm_int8", options, model).model;
    EXPECT_TRUE(at::equal(logits(*result), logits(*reloaded(*result, "int8_scheme")))) << options.dump();
    EXPECT_LT(distance(*model, *result), 0.3) << options.dump();
    EXPECT_GT(distance(*model, *result), 0) << options.dump();
  }
}

TEST(LlmInt8, StoresABytePerWeightAndAScalePerRow) {
  const auto result = apply("llm_int8", Json::object(), biased_decoder()).model;
  for (auto* map : result->inventory().maps)
    if (map->type() == "int8") {
      EXPECT_EQ(map->bytes(), map->out() * map->in() + 4 * map->out() + (map->bias() ? 4 * map->out() : 0));
    }
}

// Heads and hidden units may be cut and permuted in codes; the stream, which norms scale, may not be rotated.
TEST(LlmInt8, CodesFollowTheirAxes) {
  const at::NoGradGuard guard;
  for (const std::string scheme : {"vector", "zeropoint-vector", "absmax-row"}) {
    auto model = apply("llm_int8", {{"scheme", scheme}, {"threshold", 0}}, biased_decoder()).model;
    const auto before = logits(*model);
    int64_t permuted = 0;
    for (const auto& [axis, info] : model->inventory().axes) {
      if (axis.find("hidden") == std::string::npos || info.group < Group::permute) continue;
      Edit edit(*model);
      edit.select(axis, at::randperm(info.size, at::kLong));
      EXPECT_LT(largest(logits(*edit.finish()) - before), 1e-4) << axis;
      Edit cut(*model);
      cut.select(axis, at::arange(info.size / 2, at::kLong));
      EXPECT_TRUE(logits(*cut.finish()).isfinite().all().item<bool>());
      ++permuted;
    }
    EXPECT_EQ(permuted, 2);
    Edit edit(*model);
    EXPECT_THROW(edit.rotate("residual", at::eye(32)), Error);
  }
}

// The Spec wraps int8 maps in adapters; only those learn.
TEST(LlmInt8, FiftyStepsOfLoraOverAnInt8BaseLowerTheLoss) {
  auto quantized = apply("llm_int8", Json::object(), biased_decoder()).model;
  Edit edit(*quantized);
  for (auto* map : block_int8(*quantized)) {
    PartSpec lora("lora");
    lora.options = {{"rank", 4}, {"base", {{"type", "int8"}}}};
    edit.replace(*map, lora,
                 {{"base.codes", edit.tensor(map->path() + ".codes")},
                  {"base.scale", edit.tensor(map->path() + ".scale")},
                  {"a", at::randn({4, map->in()}) * 0.1},
                  {"b", at::zeros({map->out(), 4})}});
  }
  auto model = edit.finish();
  EXPECT_EQ(distance(*model, *quantized), 0);
  std::map<std::string, Tensor> base, adapters;
  for (auto& param : model->inventory().params) {
    if (param.name.find(".base.") != std::string::npos) base[param.name] = param.value.clone();
    if (param.name.ends_with(".a") || param.name.ends_with(".b")) adapters[param.name] = param.value;
  }
  ASSERT_EQ(base.size(), adapters.size());
  const auto ids = at::arange(24, at::kLong).view({2, 12}), targets = at::randint(29, {24}, at::kLong);
  std::vector<double> losses;
  for (int step = 0; step < 50; ++step) {
    auto ctx = model->make_context();
    const auto y = model->forward(ctx, {{"input_ids", ids}})["logits"];
    const auto loss = at::cross_entropy_loss(y.reshape({24, -1}), targets);
    losses.push_back(loss.item<double>());
    std::vector<Tensor> values;
    for (const auto& [name, value] : adapters) values.push_back(value);
    const auto grads = torch::autograd::grad({loss}, values);
    const at::NoGradGuard guard;
    for (size_t i = 0; i < values.size(); ++i) values[i].sub_(grads[i] * 0.2);
  }
  EXPECT_LT(losses.back(), 0.9 * losses.front());
  for (const auto& [name, value] : base)
    EXPECT_TRUE(at::equal(value, model->inventory().by_name.at(name)->value)) << name;
}

}  // namespace
}  // namespace formwork
