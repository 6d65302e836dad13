#include "formwork/transforms/adapt/hidden_transfer.h"

#include <gtest/gtest.h>

#include "error_of.h"
#include "formwork/core/random.h"
#include "formwork/decode/decode_strategy.h"
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

constexpr int64_t kTransferVocab = 11, kTransferLayers = 4;

// A random decoder with random maps, far enough from uniform that drafts are now right, now wrong. `layers`:
// where drafts 1, 2, .. enter.
std::shared_ptr<Model> decoder(const std::vector<double>& layers, at::ScalarType dtype = at::kDouble,
                               const std::string& map = "linear") {
  auto spec =
      Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 11, "width": 32,
        "layers": {"repeat": 4, "pattern": [{"mixer": {"type": "attention", "heads": 2, "position": "rotary"},
                                             "channel": {"type": "gated_mlp", "hidden": 24}}]}}})"),
                      "test");
  HiddenTransferOptions options;
  options.k = static_cast<int64_t>(layers.size()), options.layers = layers, options.map = map;
  if (!layers.empty())
    spec.attach = transfer_entries(build_model(spec, 0, at::kFloat, false)->inventory(), options);
  auto model = build_model(spec, 4, dtype);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params) {
    auto stream = make_stream(9, param.name);
    if (param.value.dim() == 2)
      param.value.mul_(5).add_(at::randn(param.value.sizes(), stream, at::kDouble).to(dtype), 0.1);
    else if (param.name.ends_with("bias"))
      param.value.add_(at::randn(param.value.sizes(), stream, at::kDouble).to(dtype), 0.3);
  }
  return model;
}

Tensor text(int64_t rows, int64_t tokens, uint64_t seed = 1) {
  auto stream = make_stream(seed, "text");
  return at::randint(0, kTransferVocab, {rows, tokens}, stream, at::kLong);
}

Tensor forward(Model& model, const Record& in) {
  auto ctx = model.make_context();
  return model.forward(ctx, in).at("logits");
}

Tensor numbers(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong).unsqueeze(0); }

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

std::vector<Continuation> decode_by(Model& model, const DecodeRequest& request, const std::string& name,
                                    const Json& options = Json::object()) {
  return Registry<DecodeStrategy>::make({name, options})->decode(model, request);
}

DecodeRequest request_of(int64_t rows, int64_t tokens) {
  DecodeRequest request;
  request.prompt = text(rows, 4, 3), request.tokens = tokens;
  return request;
}

void expect_same(const std::vector<Continuation>& a, const std::vector<Continuation>& b,
                 const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t row = 0; row < a.size(); ++row) {
    EXPECT_EQ(a[row].tokens, b[row].tokens) << what << ", row " << row;
    EXPECT_NEAR(a[row].log_probability, b[row].log_probability, 1e-8) << what << ", row " << row;
  }
}

TEST(HiddenTransfer, MakesTheTokensOfGreedyDecodingInFewerPasses) {
  for (const auto& layers : {std::vector<double>{2, 2, 2}, {0, 1, 4}}) {
    const auto model = decoder(layers);
    auto request = request_of(8, 16);
    const auto greedy = decode_by(*model, request, "greedy");
    for (const char* tree : {R"("chain")", R"({"full": [3, 3, 3]})", R"("medusa")"}) {
      int64_t passes = 0, tokens = 0;
      request.on_pass = [&](int64_t, int64_t made) { ++passes, tokens += made; };
      expect_same(greedy, decode_by(*model, request, "hidden_transfer", {{"tree", Json::parse(tree)}}), tree);
      EXPECT_EQ(tokens, 8 * 16);
      EXPECT_LT(passes, tokens) << tree;
    }
  }
}

TEST(HiddenTransfer, EndsRowsWhereGreedyDecodingEndsThem) {
  const auto model = decoder({2, 2, 2});
  auto request = request_of(6, 12);
  request.stop = decode_by(*model, request, "greedy")[1].tokens[4];
  expect_same(decode_by(*model, request, "greedy"), decode_by(*model, request, "hidden_transfer"), "stop");
  std::map<int64_t, int64_t> told;
  request.on_token = [&](int64_t row, int64_t) { return ++told[row] < 3; };
  for (const auto& one : decode_by(*model, request, "hidden_transfer")) EXPECT_LE(one.tokens.size(), 3u);
}

// Few rows of a pass may carry drafts: from other nodes decoding goes on without.
TEST(HiddenTransfer, GoesOnWhereTheAcceptedNodeCarriesNoDrafts) {
  const auto model = decoder({2, 2, 2});
  const auto request = request_of(5, 12);
  for (const int64_t rows : {1, 30, 80})
    expect_same(decode_by(*model, request, "greedy"),
                decode_by(*model, request, "hidden_transfer", {{"rows", rows}}),
                fmt::format("{} rows", rows));
}

TEST(HiddenTransfer, WithoutDraftsIsGreedyDecoding) {
  const auto request = request_of(3, 6);
  const auto bare = decoder({});
  int64_t passes = 0;
  auto counted = request;
  counted.on_pass = [&](int64_t, int64_t) { ++passes; };
  expect_same(decode_by(*bare, request, "greedy"), decode_by(*bare, counted, "hidden_transfer", {{"k", 0}}),
              "k = 0");
  EXPECT_EQ(passes, 18);
  const auto model = decoder({2, 2, 2});
  expect_same(decode_by(*model, request, "greedy"), decode_by(*model, request, "hidden_transfer", {{"k", 2}}),
              "k = 2");
}

// The runtime decodes the model without drafts, the step with the maps by LibTorch; a tree is LibTorch's
// alone.
TEST(HiddenTransfer, SaysWhatTheRuntimeDoes) {
  const auto model = decoder({2, 2}, at::kFloat);
  auto request = request_of(3, 8);
  std::string why;
  request.on_path = [&](const std::string& reason) { why = reason; };
  const auto fast = decode_by(*model, request, "greedy");
  EXPECT_NE(why.find("layers.1.channel.stream"), std::string::npos) << why;
  request.plain = true;
  const auto plain = decode_by(*model, request, "greedy");
  const auto trees = decode_by(*model, request, "hidden_transfer");
  EXPECT_NE(why.find("no runtime form"), std::string::npos) << why;
  for (size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(fast[row].tokens, plain[row].tokens);
    EXPECT_EQ(trees[row].tokens, plain[row].tokens);
  }
}

TEST(HiddenTransfer, RejectionMakesTheTokensThatSamplingDraws) {
  const auto model = decoder({1, 2, 2});
  auto request = request_of(6, 16);
  request.seed = 5;
  const auto sampled = decode_by(*model, request, "sample", {{"temperature", 0.7}});
  expect_same(
      sampled,
      decode_by(*model, request, "hidden_transfer", {{"acceptance", "rejection"}, {"temperature", 0.7}}),
      "rejection");
}

// With alpha = 0 every draft of a positive probability is typical; with a threshold of 1 and alpha 1 those of
// more than exp(-entropy).
TEST(HiddenTransfer, TypicalAcceptanceFollowsItsThreshold) {
  const auto model = decoder({2, 2, 2});
  auto request = request_of(4, 17);
  const auto passes_at = [&](double alpha) {
    int64_t passes = 0;
    request.on_pass = [&](int64_t, int64_t) { ++passes; };
    decode_by(*model, request, "hidden_transfer",
              {{"tree", "chain"},
               {"acceptance", "typical"},
               {"temperature", 1},
               {"threshold", 1},
               {"alpha", alpha}});
    return passes;
  };
  EXPECT_EQ(passes_at(0), 4 * 5);  // one token without drafts, then 4 a pass
  EXPECT_GT(passes_at(1), passes_at(0));
}

TEST(Transfer, DraftsLeaveRealTokensAsTheyAre) {
  const auto model = decoder({0, 2, 3});
  const auto ids = text(2, 9);
  const auto whole = forward(*model, {{"input_ids", ids}});
  const auto with = forward(*model, {{"input_ids", ids}, {"anchors", numbers({0, 3, 8})}});
  EXPECT_EQ(with.size(1), 9 + 3 * 3);
  EXPECT_LT(distance(with.narrow(1, 0, 9), whole), 1e-12);
}

// All anchors at once are what each is alone, in a pass and after a state; text after an anchor changes
// nothing.
TEST(Transfer, DraftsOfAnAnchorDependOnNothingElse) {
  for (const char* map : {"linear", "residual"}) {
    const auto model = decoder({1, 1, 3}, at::kDouble, map);
    const at::NoGradGuard guard;
    const auto ids = text(2, 7);
    const auto all =
        forward(*model, {{"input_ids", ids}, {"anchors", TokenTree::row(8, at::kCPU).narrow(1, 1, 7)}});
    for (const int64_t n : {0, 2, 6}) {
      const auto alone = forward(*model, {{"input_ids", ids.narrow(1, 0, n + 1)}, {"anchors", numbers({n})}});
      StateOptions options;
      options.batch = 2, options.dtype = at::kDouble;
      auto ctx = model->make_context();
      auto state = model->make_state(ctx, {}, options);
      if (n > 0) model->append(ctx, {{"input_ids", ids.narrow(1, 0, n)}}, state);
      const auto after =
          model->append(ctx, {{"input_ids", ids.narrow(1, n, 1)}, {"anchors", numbers({0})}}, state)
              .at("logits");
      for (int64_t i = 0; i < 3; ++i) {
        const auto draft = all.select(1, 7 + 7 * i + n);
        EXPECT_LT(distance(draft, alone.select(1, n + 1 + i)), 1e-12) << map << ", anchor " << n;
        EXPECT_LT(distance(draft, after.select(1, 1 + i)), 1e-12) << map << ", anchor " << n;
      }
    }
  }
}

// In float32, as it is trained.
TEST(Transfer, TheParallelFormIsTheLoopInFloat32) {
  const auto model = decoder({2, 2, 2}, at::kFloat);
  const at::NoGradGuard guard;
  const auto ids = text(1, 12);
  const auto anchors = numbers({1, 4, 5, 9});
  const auto all = forward(*model, {{"input_ids", ids}, {"anchors", anchors}});
  for (int64_t a = 0; a < 4; ++a) {
    const int64_t n = anchors[0][a].item<int64_t>();
    const auto alone = forward(*model, {{"input_ids", ids.narrow(1, 0, n + 1)}, {"anchors", numbers({n})}});
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_LT(distance(all[0][12 + 4 * i + a].softmax(-1), alone[0][n + 1 + i].softmax(-1)), 1e-5);
  }
}

TEST(Transfer, LaterDraftsSeeEarlierOnesAndNotTheOtherWay) {
  const auto model = decoder({1, 2, 2});
  const Record in = {{"input_ids", text(1, 5)}, {"anchors", numbers({4})}};
  const auto before = forward(*model, in)[0];
  const auto changed_by = [&](const std::string& name) {
    const at::NoGradGuard guard;
    auto& bias = model->inventory().by_name.at(name)->value;
    const auto kept = bias.clone();
    bias.add_(1);
    const auto change = (forward(*model, in)[0] - before).abs().amax(-1);
    bias.copy_(kept);
    return change;
  };
  const auto first = changed_by("layers.0.channel.stream.attached.1.bias"),
             second = changed_by("layers.1.channel.stream.attached.2.bias");
  EXPECT_EQ(first.narrow(0, 0, 5).max().item<double>(), 0);
  EXPECT_GT(first.narrow(0, 5, 3).min().item<double>(), 1e-6);
  EXPECT_EQ(second.narrow(0, 0, 6).max().item<double>(), 0);
  EXPECT_GT(second.narrow(0, 6, 2).min().item<double>(), 1e-6);
}

TEST(Transfer, MapsGetNoGradientFromRealTokens) {
  const auto model = decoder({2, 2});
  const auto out = forward(*model, {{"input_ids", text(1, 5)}, {"anchors", numbers({1, 3})}});
  auto& weight = model->inventory().by_name.at("layers.1.channel.stream.attached.1.weight")->value;
  const auto gradient = [&](const Tensor& of) {
    return torch::autograd::grad({of.square().sum()}, {weight}, {}, true, false, true)[0];
  };
  const auto real = gradient(out.narrow(1, 0, 5));
  EXPECT_EQ(real.defined() ? real.abs().max().item<double>() : 0.0, 0.0);
  EXPECT_GT(gradient(out.narrow(1, 5, 2)).abs().max().item<double>(), 0);
}

// After the last block a draft is a linear head on the last state: Head(FinalNorm(W h + b)).
TEST(Transfer, AfterTheLastBlockIsALinearMedusaHead) {
  const auto model = decoder({kTransferLayers});
  const at::NoGradGuard guard;
  const auto ids = text(2, 6);
  Tensor last;
  auto board = model->make_board();
  board.read("layers.3.channel.stream.attached.1.in", [&](const TapEvent&, const Tensor& x) { last = x; });
  auto ctx = model->make_context(&board);
  const auto out = model->forward(ctx, {{"input_ids", ids}, {"anchors", numbers({2, 5})}}).at("logits");
  auto value = [&](const std::string& name) { return model->inventory().by_name.at(name)->value; };
  const auto h = last.matmul(value("layers.3.channel.stream.attached.1.weight").t()) +
                 value("layers.3.channel.stream.attached.1.bias");
  const auto normed = h * (h.square().mean(-1, true) + 1e-5).rsqrt() * value("norm.weight");
  EXPECT_LT(distance(out.narrow(1, 6, 2), normed.matmul(value("embed.weight").t())), 1e-9);
}

TEST(Transfer, AStateThatKeptAPathIsAFreshOneOfItsText) {
  const auto model = decoder({1, 2, 4});
  const at::NoGradGuard guard;
  const auto ids = text(2, 8);
  StateOptions options;
  options.batch = 2, options.dtype = at::kDouble;
  auto ctx = model->make_context();
  auto state = model->make_state(ctx, {}, options), fresh = model->make_state(ctx, {}, options);
  model->append(ctx, {{"input_ids", ids.narrow(1, 0, 3)}}, state);
  model->append(ctx,
                {{"input_ids", ids.narrow(1, 3, 4)},
                 {"parents", numbers({-1, 0, 0, 2})},
                 {"anchors", numbers({0, 1, 2, 3})}},
                state);
  EXPECT_NE(error_of([&] {
              model->append(ctx, {{"input_ids", ids.narrow(1, 7, 1)}}, state);
            }).find("which of its"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              state.keep(numbers({0, 4}).expand({2, 2}), numbers({2, 2})[0]);
            }).find("4 tokens"),
            std::string::npos);
  state.keep(numbers({0, 2, 3}).expand({2, 3}), numbers({3, 3})[0]);
  EXPECT_TRUE(state.lengths.equal(numbers({6, 6})[0]));
  const auto path = ids.index_select(1, numbers({0, 1, 2, 3, 5, 6})[0]);
  model->append(ctx, {{"input_ids", path}}, fresh);
  const Record next = {{"input_ids", ids.narrow(1, 7, 1)}};
  EXPECT_LT(
      distance(model->append(ctx, next, state).at("logits"), model->append(ctx, next, fresh).at("logits")),
      1e-12);
}

TEST(HiddenTransferTransform, FreezesTheModelAndLeavesItAsItWas) {
  const auto bare = decoder({}, at::kFloat);
  const auto made = Registry<Transform>::make({"hidden_transfer", {{"k", 3}}})->apply(bare, {});
  const auto ids = text(2, 6);
  EXPECT_EQ(distance(forward(*bare, {{"input_ids", ids}}), forward(*made.model, {{"input_ids", ids}})), 0);
  EXPECT_EQ(
      made.report.at("attached"),
      Json::parse(
          R"({"layers.1.channel.stream": {"type": "transfer", "first": 1, "count": 3, "map": "linear"}})"));
  int64_t trained = 0;
  for (const auto& param : made.model->inventory().params) {
    const bool map = param.name.find(".stream.attached.") != std::string::npos;
    EXPECT_EQ(param.trainable(), map) << param.name;
    trained += map;
  }
  EXPECT_EQ(trained, 6);
  // W = I, b = 0: the first draft of a bare copy is the anchor's own state, one position on.
  EXPECT_TRUE(made.model->inventory()
                  .by_name.at("layers.1.channel.stream.attached.2.weight")
                  ->value.equal(at::eye(32)));
}

TEST(HiddenTransferTransform, RefusesLayersThatDoNotFit) {
  const auto bare = decoder({}, at::kFloat);
  const auto refused = [&](const Json& options) {
    return error_of([&] { Registry<Transform>::make({"hidden_transfer", options})->apply(bare, {}); });
  };
  EXPECT_NE(refused({{"layers", {5}}}).find("from 0 to the 4 blocks"), std::string::npos);
  EXPECT_NE(refused({{"k", 2}, {"layers", {3, 2}}}).find("may not decrease"), std::string::npos);
  EXPECT_NE(refused({{"k", 3}, {"layers", {1, 2}}}).find("1 or 3 transfer layers"), std::string::npos);
  const auto made = Registry<Transform>::make({"hidden_transfer", Json::object()})->apply(bare, {});
  EXPECT_NE(error_of([&] {
              Registry<Transform>::make({"hidden_transfer", Json::object()})->apply(made.model, {});
            }).find("already"),
            std::string::npos);
}

TEST(HiddenTransfer, RefusesWhatCannotBe) {
  const auto model = decoder({2, 2});
  const auto refused = [&](const Json& options, const std::shared_ptr<Model>& of) {
    return error_of([&] { decode_by(*of, request_of(1, 4), "hidden_transfer", options); });
  };
  EXPECT_NE(refused({{"tree", {{0}, {0, 0}, {0, 0, 0}}}}, model).find("3 deep, and there are only 2"),
            std::string::npos);
  EXPECT_NE(refused({{"tree", {{0}, {1, 0}}}}, model).find("[1, 0]"), std::string::npos);
  EXPECT_NE(refused({{"temperature", 0.5}}, model).find("temperature 0.5 has no effect"), std::string::npos);
  EXPECT_NE(refused({{"acceptance", "rejection"}}, model).find("expects a temperature"), std::string::npos);
  EXPECT_NE(refused({{"k", 3}}, model).find("at most the 2 drafts"), std::string::npos);
  EXPECT_NE(refused(Json::object(), decoder({})).find("no transfer maps"), std::string::npos);
  EXPECT_NE(refused({{"tree", {{"full", {12}}}}}, model).find("vocabulary of 11"), std::string::npos);
  EXPECT_NE(error_of([&] {
              forward(*model, {{"input_ids", text(1, 4)}, {"anchors", numbers({4})}});
            }).find("among 4 tokens"),
            std::string::npos);
}

// Positions that a table holds end a tree as they end a text.
TEST(HiddenTransfer, NamesThePositionThatATableDoesNotHave) {
  auto spec =
      Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 11, "width": 8,
        "position": {"type": "learned", "context": 6}, "layers": [{"mixer": {"type": "attention", "heads": 2}}]},
        "attach": {"layers.0.mixer.stream": {"type": "transfer", "count": 3}}})"),
                      "test");
  const auto model = build_model(spec, 1);
  const auto refusal = error_of([&] {
    decode_by(*model, request_of(1, 2), "hidden_transfer", {{"tree", "chain"}});
  });
  EXPECT_NE(refusal.find("past the 6 learned ones"), std::string::npos) << refusal;
}

TEST(HiddenTransfer, RefusesATreeThatAMixerCannotTake) {
  auto spec =
      Spec::from_json(Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 11, "width": 8,
        "layers": [{"mixer": {"type": "attention", "heads": 2}}, {"mixer": "mamba"}]},
        "attach": {"layers.0.mixer.stream": {"type": "transfer"}}})"),
                      "test");
  const auto model = build_model(spec, 1);
  const auto refusal = error_of([&] { decode_by(*model, request_of(1, 4), "hidden_transfer"); });
  EXPECT_NE(refusal.find("layers.1.mixer: token mixer 'mamba' takes tokens in a row alone"),
            std::string::npos)
      << refusal;
}

}  // namespace
}  // namespace formwork
