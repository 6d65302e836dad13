// Attention as its users meet it: one function, however it is computed. Fused equals plain, appends equal
// forward, packed and padded rows equal rows alone, for every mask, position scheme and number of keys.
#include <gtest/gtest.h>

#include "formwork/mixers/attention/kv_cache.h"
#include "formwork/mixers/token_mixer.h"
#include "formwork/models/model.h"
#include "formwork/scores/score.h"

namespace formwork {
namespace {

constexpr int64_t kWidth = 16, kHeads = 4;

double distance(const Tensor& a, const Tensor& b) {
  return a.numel() ? (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>() : 0;
}

struct Case {
  std::string position, mask;  // mask: causal, window, prefix, both (ways), cross
  int64_t kv_heads;
  std::string name() const { return fmt::format("{}, {}, {} key heads", position, mask, kv_heads); }
  bool causal() const { return mask == "causal" || mask == "window" || mask == "prefix"; }
  Json options() const {
    Json json = {{"type", "attention"}, {"heads", kHeads}, {"kv_heads", kv_heads}, {"bias", true}};
    json["position"] = position == "t5"
                           ? Json{{"type", "t5"}, {"buckets", 8}, {"max_distance", 16}, {"std", 1}}
                           : Json(position);
    if (mask == "window") json["window"] = 4;
    if (mask == "cross") json["memory"] = "memory";
    return json;
  }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* position : {"none", "rotary", "alibi", "t5"})
    for (const char* mask : {"causal", "window", "prefix", "both", "cross"})
      for (const int64_t kv_heads : {4, 2, 1})
        if (std::string(mask) != "cross" || std::string(position) == "none")
          all.push_back({position, mask, kv_heads});
  return all;
}

struct Mixer {
  explicit Mixer(const Case& c, at::ScalarType dtype = at::kFloat) : Mixer(c.options(), c.causal(), dtype) {}
  Mixer(const Json& options, bool causal, at::ScalarType dtype = at::kFloat,
        const Json& axes = Json::object()) {
    inventory.spec.axes = axes;
    inventory.dtype = dtype;
    inventory.seed = 3;
    Build build(inventory, "", {}, {});
    build = build.at("mixer");
    build.in = build.out = build.global_axis("residual", kWidth);
    build.streams["memory"] = build.global_axis("memory", 12);
    build.causal = causal;
    build.input = build.tap("in");
    part = make_mixer(build, PartSpec::from_json(options, "test"));
    const at::NoGradGuard guard;  // larger weights than at initialization, so that mistakes show
    for (auto& param : inventory.params)
      if (param.trainable() && param.name.find("position") == std::string::npos)
        param.value.mul_(15).add_(0.01);
    ctx.streams = &streams;
    ctx.layout = &layout;
  }
  void take(const Mixer& other) {
    const at::NoGradGuard guard;
    for (auto& param : inventory.params) param.value.copy_(other.inventory.by_name.at(param.name)->value);
  }
  Tensor& param(const std::string& name) { return inventory.by_name.at(name)->value; }
  Tensor operator()(const Tensor& x) { return part->forward(ctx, x); }
  Inventory inventory;
  std::unique_ptr<TokenMixer> part;
  Context ctx;
  Layout layout;
  Streams streams;
};

Tensor rows(int64_t batch, int64_t tokens, at::ScalarType dtype = at::kFloat) {
  return at::randn({batch, tokens, kWidth}, at::kDouble).to(dtype);
}

void give_memory(Mixer& mixer, const Tensor& memory) {
  mixer.streams["memory"].x = memory;
  mixer.streams["memory"].layout.lengths = at::tensor({3, 7}, at::kLong);
}

std::vector<Tensor> value_and_gradients(Mixer& mixer, const Tensor& x, const Tensor& weighting) {
  auto leaf = x.detach().clone().set_requires_grad(true);
  std::vector<Tensor> leaves = {leaf};
  for (auto& param : mixer.inventory.params)
    if (param.trainable()) leaves.push_back(param.value);
  const auto y = mixer(leaf);
  auto all = torch::autograd::grad({(y * weighting).sum()}, leaves);
  all.insert(all.begin(), y.detach());
  return all;
}

// Fused, plain in float32 and plain in float64 agree, in values and in every gradient, for rows of unequal
// length.
TEST(Attention, FusedEqualsPlain) {
  for (const auto& c : cases()) {
    at::manual_seed(1);
    Mixer fused(c), plain(c), exact(c, at::kDouble);
    const auto x = rows(2, 9), memory = at::randn({2, 7, 12}), weighting = at::randn({2, 9, kWidth});
    plain.ctx.mode.twice_differentiable = true;
    std::vector<std::vector<Tensor>> found;
    for (Mixer* mixer : {&fused, &plain, &exact}) {
      mixer->take(fused);
      const auto dtype = mixer->inventory.dtype;
      give_memory(*mixer, memory.to(dtype));
      if (c.mask != "cross") mixer->layout.lengths = at::tensor({9, 5}, at::kLong);
      if (c.mask == "prefix") mixer->layout.prefix = at::tensor({4, 0}, at::kLong);
      found.push_back(value_and_gradients(*mixer, x.to(dtype), weighting.to(dtype)));
    }
    for (size_t i = 0; i < found[0].size(); ++i) {
      const double size = 1 + found[2][i].abs().max().item<double>();
      EXPECT_LT(distance(found[0][i], found[2][i]) / size, 1e-4) << c.name() << ", tensor " << i;
      EXPECT_LT(distance(found[1][i], found[2][i]) / size, 1e-4) << c.name() << ", tensor " << i;
    }
  }
}

TEST(Attention, PlainGradientsAreDifferences) {
  for (const auto& c : cases()) {
    if (c.kv_heads != 2) continue;
    at::manual_seed(2);
    Mixer mixer(c, at::kDouble);
    give_memory(mixer, at::randn({2, 7, 12}, at::kDouble));
    if (c.mask == "prefix") mixer.layout.prefix = at::tensor({3, 0}, at::kLong);
    const auto x = rows(2, 6, at::kDouble), weighting = at::randn({2, 6, kWidth}, at::kDouble);
    const auto gradients = value_and_gradients(mixer, x, weighting);
    const auto loss = [&](const Tensor& at) {
      const at::NoGradGuard guard;
      return (mixer(at) * weighting).sum().item<double>();
    };
    const double step = 1e-5;
    auto direction = at::randn_like(x);
    EXPECT_NEAR((loss(x + step * direction) - loss(x - step * direction)) / (2 * step),
                (gradients[1] * direction).sum().item<double>(), 1e-6)
        << c.name();
    size_t i = 2;
    for (auto& param : mixer.inventory.params) {
      if (!param.trainable()) continue;
      direction = at::randn_like(param.value.detach());
      const auto moved = [&](double by) {
        const at::NoGradGuard guard;
        param.value.add_(direction, by);
        const double value = loss(x);
        param.value.add_(direction, -by);
        return value;
      };
      EXPECT_NEAR((moved(step) - moved(-step)) / (2 * step),
                  (gradients[i++] * direction).sum().item<double>(), 1e-6)
          << c.name() << " " << param.name;
    }
  }
}

// Any cutting into appends gives what forward gives, for level rows and for rows of unequal length.
TEST(Attention, AppendsEqualForward) {
  const at::NoGradGuard guard;
  for (const auto& c : cases()) {
    if (c.mask == "both") continue;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      at::manual_seed(3);
      Mixer mixer(c, dtype);
      give_memory(mixer, at::randn({2, 7, 12}).to(dtype));
      const auto x = rows(2, 13, dtype);
      if (c.mask == "prefix") mixer.layout.prefix = at::tensor({5, 2}, at::kLong);
      const auto full = mixer(x);
      StateOptions options;
      options.batch = 2, options.dtype = dtype;
      const auto state = mixer.part->make_state(options);
      int64_t at = 0;
      for (const int64_t n : {5, 1, 3, 4}) {
        const auto y = mixer.part->append(mixer.ctx, x.narrow(1, at, n), state.get());
        EXPECT_LT(distance(y, full.narrow(1, at, n)), dtype == at::kFloat ? 1e-5 : 1e-12) << c.name();
        at += n;
      }
    }
  }
}

// Gradients go through the cache as well.
TEST(Attention, AnAppendHasTheGradientsOfForward) {
  at::manual_seed(4);
  Mixer mixer({"rotary", "causal", 2});
  const auto x = rows(2, 3), weighting = rows(2, 3);
  StateOptions options;
  options.batch = 2;
  const auto state = mixer.part->make_state(options);
  std::vector<Tensor> gradients;
  for (const bool appended : {false, true}) {
    const auto leaf = x.clone().set_requires_grad(true);
    const auto y = appended ? mixer.part->append(mixer.ctx, leaf, state.get()) : mixer(leaf);
    gradients.push_back(torch::autograd::grad({(y * weighting).sum()}, {leaf})[0]);
  }
  EXPECT_LT(distance(gradients[0], gradients[1]), 1e-4 * gradients[0].abs().max().item<double>());
}

TEST(Attention, RowsOfUnequalLengthAppendEach) {
  const at::NoGradGuard guard;
  for (const auto& c : cases()) {
    if (!c.causal() || c.mask == "prefix") continue;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      at::manual_seed(4);
      Mixer mixer(c, dtype);
      const double tolerance = dtype == at::kFloat ? 1e-5 : 1e-12;
      const auto x = rows(2, 11, dtype);
      const auto full = mixer(x);
      StateOptions options;
      options.batch = 2, options.dtype = dtype;
      const auto state = mixer.part->make_state(options);
      std::map<int64_t, int64_t> done;
      for (auto counts : std::vector<std::map<int64_t, int64_t>>{
               {{0, 6}, {1, 2}}, {{0, 1}, {1, 3}}, {{0, 0}, {1, 2}}, {{0, 4}, {1, 4}}}) {
        auto piece = at::zeros({2, 6, kWidth}, x.options());
        for (int64_t b = 0; b < 2; ++b)
          piece[b].narrow(0, 0, counts[b]).copy_(x[b].narrow(0, done[b], counts[b]));
        mixer.layout.lengths = at::tensor({counts[0], counts[1]}, at::kLong);
        const auto y = mixer.part->append(mixer.ctx, piece, state.get());
        for (int64_t b = 0; b < 2; ++b) {
          const auto n = counts[b];
          EXPECT_LT(distance(y[b].narrow(0, 0, n), full[b].narrow(0, done[b], n)), tolerance) << c.name();
          done[b] += n;
        }
      }
    }
  }
}

TEST(Attention, PackedRowsEqualRowsAlone) {
  for (const auto& c : cases()) {
    if (c.mask == "cross") continue;
    for (const bool plain : {false, true}) {
      at::manual_seed(5);
      Mixer packed(c), alone(c);
      packed.ctx.mode.twice_differentiable = plain;
      const auto x = rows(1, 12), weighting = at::randn({1, 12, kWidth});
      const std::vector<int64_t> prefix = {2, 0, 3};
      packed.layout.offsets = {0, 5, 6, 12};
      if (c.mask == "prefix") packed.layout.prefix = at::tensor(prefix, at::kLong);
      const auto together = value_and_gradients(packed, x, weighting);
      std::vector<Tensor> sums(together.size());
      std::vector<Tensor> values, dx;
      for (size_t s = 0; s < 3; ++s) {
        const int64_t first = packed.layout.offsets[s], n = packed.layout.offsets[s + 1] - first;
        if (c.mask == "prefix") alone.layout.prefix = at::tensor({prefix[s]}, at::kLong);
        const auto one = value_and_gradients(alone, x.narrow(1, first, n), weighting.narrow(1, first, n));
        values.push_back(one[0]), dx.push_back(one[1]);
        for (size_t i = 2; i < one.size(); ++i) sums[i] = sums[i].defined() ? sums[i] + one[i] : one[i];
      }
      sums[0] = at::cat(values, 1), sums[1] = at::cat(dx, 1);
      for (size_t i = 0; i < sums.size(); ++i)
        EXPECT_LT(distance(together[i], sums[i]) / (1 + sums[i].abs().max().item<double>()), 1e-5)
            << c.name() << (plain ? " plain" : " fused") << ", tensor " << i;
    }
  }
}

TEST(Attention, PaddingIsNeverSeen) {
  const at::NoGradGuard guard;
  for (const auto& c : cases()) {
    if (c.mask == "cross") continue;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      Mixer mixer(c, dtype);
      auto x = rows(2, 9, dtype);
      if (c.mask == "prefix") mixer.layout.prefix = at::tensor({3}, at::kLong);
      const auto alone = mixer(x[1].narrow(0, 0, 5).unsqueeze(0));
      x[1].narrow(0, 5, 4).fill_(1e4);
      mixer.layout.lengths = at::tensor({9, 5}, at::kLong);
      if (c.mask == "prefix") mixer.layout.prefix = at::tensor({8, 3}, at::kLong);
      EXPECT_LT(distance(mixer(x)[1].narrow(0, 0, 5), alone[0]), dtype == at::kFloat ? 1e-5 : 1e-12)
          << c.name();
    }
  }
}

TEST(Attention, ReadingTheWeightsChangesNothing) {
  const at::NoGradGuard guard;
  Mixer mixer({"rotary", "causal", 2});
  const auto x = rows(2, 7);
  const auto y = mixer(x);
  TapBoard board(mixer.inventory.taps);
  Tensor weights;
  board.read("mixer.weights", [&](const TapEvent&, const Tensor& w) { weights = w; });
  mixer.ctx.taps = &board;
  EXPECT_LT(distance(mixer(x), y), 1e-5);
  ASSERT_EQ(weights.sizes(), (std::vector<int64_t>{2, kHeads, 7, 7}));
  EXPECT_LT(distance(weights.sum(-1), at::ones({2, kHeads, 7})), 1e-6);
  EXPECT_EQ(weights.triu(1).abs().sum().item<double>(), 0);
}

// Positions that the caller gives move turns and biases, but not who comes before whom.
TEST(Attention, GivenPositionsCountForDistances) {
  const at::NoGradGuard guard;
  for (const char* position : {"rotary", "alibi", "t5"}) {
    Mixer mixer({position, "causal", 2});
    const auto x = rows(1, 6);
    const auto y = mixer(x);
    mixer.layout.positions = at::arange(40, 46, at::kLong).unsqueeze(0);
    EXPECT_LT(distance(mixer(x), y), 1e-5) << position;
    mixer.layout.positions = at::arange(6, at::kLong).unsqueeze(0) * 3;
    EXPECT_GT(distance(mixer(x), y), 1e-3) << position;
    mixer.ctx.mode.twice_differentiable = true;
    const auto plain = mixer(x);
    mixer.ctx.mode.twice_differentiable = false;
    EXPECT_LT(distance(mixer(x), plain), 1e-5) << position;
  }
}

TEST(Attention, SlidingWindowForgets) {
  const at::NoGradGuard guard;
  Mixer mixer({"rotary", "window", 2});
  const auto x = rows(1, 120);
  const auto full = mixer(x);
  StateOptions options;
  options.reversible = 2, options.capacity = 4096;
  const auto state = mixer.part->make_state(options);
  int64_t largest = 0;
  for (int64_t t = 0; t < 120; ++t) {
    auto y = mixer.part->append(mixer.ctx, x.narrow(1, t, 1), state.get());
    EXPECT_LT(distance(y, full.narrow(1, t, 1)), 1e-5);
    if (t % 10 == 9) {  // two steps back and again
      const auto fork = state->fork(at::zeros({1}, at::kLong));
      fork->roll_back(2);
      y = mixer.part->append(mixer.ctx, x.narrow(1, t - 1, 2), fork.get());
      EXPECT_LT(distance(y, full.narrow(1, t - 1, 2)), 1e-5);
    }
    largest = std::max(largest, state->bytes());
  }
  EXPECT_LE(largest, 16 * 2 * 2 * 4 * 4);  // 16 tokens of 2 heads of 4 channels, keys and values, 4 bytes
  EXPECT_THROW(state->roll_back(3), Error);
}

TEST(Attention, ForksAndRollBacksAreIndependent) {
  const at::NoGradGuard guard;
  Mixer mixer({"alibi", "causal", 1});
  const auto x = rows(2, 8);
  StateOptions options;
  options.batch = 2;
  const auto state = mixer.part->make_state(options);
  mixer.part->append(mixer.ctx, x.narrow(1, 0, 5), state.get());
  const auto swapped = state->fork(at::tensor({1, 0, 1}, at::kLong));
  mixer.part->append(mixer.ctx, at::randn({2, 3, kWidth}), state.get());
  state->roll_back(1);
  const auto y = mixer.part->append(mixer.ctx, x.narrow(1, 5, 3), state.get());
  const auto full = mixer(x);
  EXPECT_LT(distance(y, full.narrow(1, 5, 3)), 1e-5);
  const auto order = at::tensor({1, 0, 1}, at::kLong);
  const auto z = mixer.part->append(mixer.ctx, x.narrow(1, 5, 3).index_select(0, order), swapped.get());
  EXPECT_LT(distance(z, y.index_select(0, order)), 1e-5);
}

TEST(Attention, NoNaNInBfloat16) {
  for (const auto& c : cases()) {
    Mixer mixer(c, at::kBFloat16);
    give_memory(mixer, at::randn({2, 7, 12}).to(at::kBFloat16));
    if (c.mask != "cross") mixer.layout.lengths = at::tensor({9, 0}, at::kLong);
    for (const auto& t :
         value_and_gradients(mixer, rows(2, 9, at::kBFloat16), at::ones({2, 9, kWidth}, at::kBFloat16)))
      EXPECT_TRUE(t.isfinite().all().item<bool>()) << c.name();
  }
}

TEST(Attention, CountsItsOperations) {
  Mixer wide({"none", "causal", 2}), window({"none", "window", 2});
  EXPECT_EQ(facet<CostFacet>(*wide.inventory.parts.at("mixer"))->flops_per_token(100), 4.0 * 100 * kWidth);
  EXPECT_EQ(facet<CostFacet>(*window.inventory.parts.at("mixer"))->flops_per_token(100), 4.0 * 4 * kWidth);
}

TEST(Attention, RefusesDistancesBetweenTwoStreams) {
  for (const char* position : {"rotary", "alibi", "t5"}) EXPECT_THROW(Mixer({position, "cross", 4}), Error);
}

// Cutting key-value heads (with their queries) leaves the other heads their slopes, tables and outputs.
TEST(Attention, CutHeadsKeepTheirPositions) {
  const at::NoGradGuard guard;
  for (const char* position : {"alibi", "t5"}) {
    const Case c{position, "causal", 2};
    Mixer whole(c), cut(c.options(), true, at::kFloat, {{"mixer.kv_heads", 1}});
    // Keep key-value head 1, that is query heads 2 and 3.
    const auto pick = [&](const std::string& name, int64_t dim, const std::vector<int64_t>& kept) {
      cut.param(name).copy_(whole.param(name).index_select(dim, at::tensor(kept, at::kLong)));
    };
    const std::vector<int64_t> inner = {8, 9, 10, 11, 12, 13, 14, 15};
    std::vector<int64_t> qkv = inner;
    for (const int64_t first : {20, 28})
      for (int64_t i = 0; i < 4; ++i) qkv.push_back(first + i);
    pick("mixer.qkv.weight", 0, qkv), pick("mixer.qkv.bias", 0, qkv), pick("mixer.out.weight", 1, inner);
    if (c.position == "alibi") pick("mixer.position.slopes", 0, {2, 3});
    if (c.position == "t5") pick("mixer.position.weight", 1, {2, 3});
    whole.param("mixer.out.weight").narrow(1, 0, 8).zero_();
    const auto x = rows(2, 7);
    EXPECT_LT(distance(cut(x), whole(x)), 1e-5) << position;
  }
}

TEST(Saturated, SharesEquallyAmongTheLargest) {
  Inventory inventory;
  Build build(inventory, "", {}, {});
  const auto score = Registry<Score>::make(build, "saturated");
  Context ctx;
  const auto logits =
      at::tensor({1.0, 3.0, 3.0, 2.0, 5.0, 4.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0}).view({1, 1, 3, 4});
  const auto permitted = at::tensor({1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0}).view({1, 1, 3, 4}).to(at::kBool);
  const auto expected =
      at::tensor({0.0, 0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0}).view({1, 1, 3, 4});
  EXPECT_EQ(distance(score->weights(ctx, logits, permitted), expected), 0);
  EXPECT_EQ(distance(score->weights(ctx, logits.narrow(2, 0, 1), {}), expected.narrow(2, 0, 1)), 0);
}

// --- through a language model -------------------------------------------------------------------------

std::shared_ptr<Model> language_model(const std::string& scheme, at::ScalarType dtype = at::kDouble) {
  const bool embedded = scheme == "sinusoidal" || scheme == "learned";
  Json mixer = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 2}};
  mixer["position"] = embedded ? "none" : scheme;
  const Json json = {
      {"formwork", 1},
      {"model",
       {{"type", "decoder"},
        {"vocab", 23},
        {"width", 16},
        {"position", embedded ? scheme : "none"},
        {"layers", {{"repeat", 2}, {"pattern", {{{"mixer", mixer}, {"channel", "gated_mlp"}}}}}}}}};
  auto model = build_model(Spec::from_json(json, "test"), 5, dtype);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params)
    if (param.trainable() && param.dims.size() == 2) param.value.mul_(8);
  return model;
}

const std::vector<std::string> kSchemes = {"none", "sinusoidal", "learned", "rotary", "alibi", "t5"};

TEST(LanguageModel, RefusesPositionsOfAttentionInItsEmbedding) {
  for (const char* scheme : {"rotary", "alibi", "t5"}) {
    const Json json = {{"formwork", 1},
                       {"model", {{"type", "decoder"}, {"position", scheme}, {"layers", Json::array()}}}};
    EXPECT_THROW(build_model(Spec::from_json(json, "test")), Error);
  }
}

TEST(LanguageModel, LeftPaddingAndGapsDoNotMatter) {
  const at::NoGradGuard guard;
  for (const auto& scheme : kSchemes)
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      auto model = language_model(scheme, dtype);
      auto ctx = model->make_context();
      const auto ids = at::randint(23, {1, 5}, at::kLong);
      const auto alone = model->forward(ctx, {{"input_ids", ids}})["logits"];
      const auto mask = at::tensor({0, 1, 1, 0, 1, 1, 0, 1}, at::kLong);
      const auto real = mask.nonzero().squeeze(1);
      auto padded = at::zeros({2, 8}, at::kLong);
      padded[0].index_put_({real}, ids[0]);
      const auto both = at::stack({mask, at::ones({8}, at::kLong)});
      const auto logits = model->forward(ctx, {{"input_ids", padded}, {"attention_mask", both}})["logits"];
      EXPECT_LT(distance(logits[0].index_select(0, real), alone[0]), dtype == at::kFloat ? 1e-4 : 1e-11)
          << scheme;
    }
}

// prompts [B, T] with a mask -> the next `steps` greedy tokens [B, steps].
Tensor greedy(Model& model, const Tensor& prompts, const Tensor& mask, int64_t steps) {
  auto ctx = model.make_context();
  StateOptions options;
  options.batch = prompts.size(0), options.dtype = model.inventory().dtype;
  auto state = model.make_state(ctx, {}, options);
  auto logits = model.append(ctx, {{"input_ids", prompts}, {"attention_mask", mask}}, state)["logits"];
  const auto last = mask.size(1) - 1 - mask.flip(1).argmax(1);  // place of the last real token
  auto next = logits.gather(1, last.view({-1, 1, 1}).expand({-1, 1, logits.size(2)})).argmax(-1);
  std::vector<Tensor> tokens = {next};
  for (int64_t t = 1; t < steps; ++t) {
    next = model.append(ctx, {{"input_ids", next}}, state)["logits"].argmax(-1);
    tokens.push_back(next);
  }
  return at::cat(tokens, 1);
}

TEST(LanguageModel, GreedyTokensDoNotDependOnNeighbours) {
  const at::NoGradGuard guard;
  for (const auto& scheme : kSchemes)
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      at::manual_seed(6);
      auto model = language_model(scheme, dtype);
      const auto prompts = at::randint(23, {3, 6}, at::kLong);
      const auto mask =
          at::tensor({1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, at::kLong).view({3, 6});
      const auto together = greedy(*model, prompts, mask, 12);
      for (int64_t b = 0; b < 3; ++b) {
        const auto real = prompts[b].index_select(0, mask[b].nonzero().squeeze(1)).unsqueeze(0);
        const auto alone = greedy(*model, real, at::ones_like(real), 12);
        EXPECT_TRUE(at::equal(alone[0], together[b])) << scheme << " row " << b << alone << together[b];
      }
    }
}

}  // namespace
}  // namespace formwork
