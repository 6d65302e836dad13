#include <gtest/gtest.h>

#include "formwork/core/random.h"
#include "formwork/decode/decode_strategy.h"

namespace formwork {
namespace {

constexpr int64_t kVocab = 7;

std::shared_ptr<Model> decoder() {
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 7, "width": 16,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2, "position": "rotary"},
                                         "channel": {"type": "gated_mlp", "hidden": 24}}]}}})");
  auto model = build_model(Spec::from_json(json, "test"), 4, at::kDouble);
  // Far from uniform, so that strategies differ.
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params)
    if (param.value.dim() == 2) param.value.mul_(6);
  return model;
}

DecodeRequest request(int64_t rows, int64_t tokens) {
  DecodeRequest request;
  request.prompt = (at::arange(3 * rows, at::kLong) * 5).remainder(kVocab).view({rows, 3});
  request.tokens = tokens;
  return request;
}

std::vector<Continuation> decode(Model& model, const DecodeRequest& request, const std::string& name,
                                 const Json& options = Json::object()) {
  return Registry<DecodeStrategy>::make({name, options})->decode(model, request);
}

// Log-probabilities [V] after a row of tokens, by the whole forward pass.
Tensor after(Model& model, const std::vector<int64_t>& row) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  const auto ids = at::tensor(row, at::kLong).unsqueeze(0);
  return model.forward(ctx, {{"input_ids", ids}}).at("logits")[0][-1].log_softmax(-1);
}

std::vector<int64_t> prompt_row(const DecodeRequest& request, int64_t row) {
  const auto ids = request.prompt[row].contiguous();
  return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel()};
}

double log_probability(Model& model, std::vector<int64_t> row, const std::vector<int64_t>& tokens) {
  double sum = 0;
  for (const int64_t token : tokens) {
    sum += after(model, row)[token].item<double>();
    row.push_back(token);
  }
  return sum;
}

TEST(Greedy, TakesTheMostProbableTokenOfTheWholeForward) {
  auto model = decoder();
  const auto asked = request(3, 6);
  const auto made = decode(*model, asked, "greedy");
  for (int64_t row = 0; row < 3; ++row) {
    auto text = prompt_row(asked, row);
    const auto& one = made[static_cast<size_t>(row)];
    ASSERT_EQ(one.tokens.size(), 6u);
    EXPECT_NEAR(one.log_probability, log_probability(*model, text, one.tokens), 1e-10);
    for (const int64_t token : one.tokens) {
      EXPECT_EQ(token, after(*model, text).argmax().item<int64_t>());
      text.push_back(token);
    }
  }
}

TEST(TokenByToken, RowsStopAloneAndAreWhatTheyAreAlone) {
  auto model = decoder();
  for (const std::string name : {"greedy", "sample"}) {
    auto asked = request(4, 8);
    const auto whole = decode(*model, asked, name);
    asked.stop = whole[1].tokens[2];
    const auto made = decode(*model, asked, name);
    for (size_t row = 0; row < 4; ++row) {
      auto cut = whole[row].tokens;
      const auto found = std::find(cut.begin(), cut.end(), *asked.stop);
      if (found != cut.end()) cut.erase(found + 1, cut.end());
      EXPECT_EQ(made[row].tokens, cut) << name << ", row " << row;
    }
    EXPECT_LE(made[1].tokens.size(), 3u);
  }
}

TEST(Sample, DrawsOfARowDoNotDependOnTheRowsAfterIt) {
  auto model = decoder();
  auto few = request(2, 10), many = request(5, 10);
  few.seed = many.seed = 8;
  const auto a = decode(*model, few, "sample"), b = decode(*model, many, "sample");
  for (size_t row = 0; row < 2; ++row) EXPECT_EQ(a[row].tokens, b[row].tokens);
  few.seed = 9;
  EXPECT_NE(decode(*model, few, "sample")[0].tokens, a[0].tokens);
}

// Shares [V] of the first token over many seeds.
Tensor shares(Model& model, const Json& options, int64_t draws) {
  auto counts = at::zeros({kVocab}, at::kDouble);
  auto asked = request(1, 1);
  for (int64_t seed = 0; seed < draws; ++seed) {
    asked.seed = static_cast<uint64_t>(seed);
    counts[decode(model, asked, "sample", options)[0].tokens[0]] += 1;
  }
  return counts / static_cast<double>(draws);
}

// What remains of p where `keep`, and its standard deviations for a number of draws.
void expect_shares(const Tensor& found, const Tensor& p, int64_t draws) {
  for (int64_t token = 0; token < kVocab; ++token) {
    const auto share = p[token].item<double>();
    const double tolerance = 4.5 * std::sqrt(share * (1 - share) / static_cast<double>(draws));
    EXPECT_NEAR(found[token].item<double>(), share, tolerance + 1e-12) << token;
  }
}

TEST(Sample, FollowsTheReshapedDistribution) {
  auto model = decoder();
  constexpr int64_t kDraws = 1500;
  const auto log_p = after(*model, prompt_row(request(1, 1), 0));
  const auto hot = (log_p / 3.0).softmax(-1);
  expect_shares(shares(*model, {{"temperature", 3}}, kDraws), hot, kDraws);
  const auto [sorted, order] = hot.sort(0, true);

  auto three = at::zeros_like(hot).index_copy(0, order.narrow(0, 0, 3), sorted.narrow(0, 0, 3));
  expect_shares(shares(*model, {{"temperature", 3}, {"top_k", 3}}, kDraws), three / three.sum(), kDraws);

  // The share that the two most probable hold, and a little more: the third is needed.
  const double share = sorted.narrow(0, 0, 2).sum().item<double>() + 1e-6;
  expect_shares(shares(*model, {{"temperature", 3}, {"top_p", share}}, kDraws), three / three.sum(), kDraws);

  const double least = (sorted[2] / sorted[0]).item<double>() - 1e-9;
  expect_shares(shares(*model, {{"temperature", 3}, {"min_p", least}}, kDraws), three / three.sum(), kDraws);
}

TEST(Sample, IsGreedyWithOneTokenLeft) {
  auto model = decoder();
  const auto asked = request(3, 5);
  const auto greedy = decode(*model, asked, "greedy");
  for (const Json& options : {Json{{"top_k", 1}}, Json{{"top_p", 1e-6}}, Json{{"min_p", 1}}}) {
    const auto made = decode(*model, asked, "sample", options);
    for (size_t row = 0; row < 3; ++row) EXPECT_EQ(made[row].tokens, greedy[row].tokens) << options.dump();
  }
}

TEST(Sample, PenalizesWhatWasWritten) {
  auto model = decoder();
  const auto asked = request(1, 1);
  const auto row = prompt_row(asked, 0);
  const at::NoGradGuard guard;
  auto ctx = model->make_context();
  auto logits = model->forward(ctx, {{"input_ids", asked.prompt}}).at("logits")[0][-1].clone();
  for (const int64_t token : std::set<int64_t>(row.begin(), row.end()))
    logits[token] *= logits[token].item<double>() > 0 ? 1 / 2.5 : 2.5;
  constexpr int64_t kDraws = 1500;
  expect_shares(shares(*model, {{"temperature", 3}, {"repetition", 2.5}}, kDraws), (logits / 3.0).softmax(-1),
                kDraws);
}

// The best continuation by log p / length^penalty of all that end with `stop` or have `tokens` tokens.
void search_all(Model& model, const std::vector<int64_t>& prompt, const DecodeRequest& asked, double penalty,
                Continuation prefix, std::pair<double, std::vector<int64_t>>& best) {
  auto row = prompt;
  row.insert(row.end(), prefix.tokens.begin(), prefix.tokens.end());
  const auto next = after(model, row);
  for (int64_t token = 0; token < kVocab; ++token) {
    auto longer = prefix;
    longer.tokens.push_back(token);
    longer.log_probability += next[token].item<double>();
    if (token != asked.stop && static_cast<int64_t>(longer.tokens.size()) < asked.tokens) {
      search_all(model, prompt, asked, penalty, longer, best);
      continue;
    }
    const double score =
        longer.log_probability / std::pow(static_cast<double>(longer.tokens.size()), penalty);
    if (score > best.first) best = {score, longer.tokens};
  }
}

TEST(Beam, WideEnoughIsExhaustiveSearch) {
  auto model = decoder();
  for (const double penalty : {0.0, 1.0}) {
    auto asked = request(2, 3);
    asked.stop = 3;
    const auto made =
        decode(*model, asked, "beam", {{"width", kVocab * kVocab * kVocab}, {"penalty", penalty}});
    for (int64_t row = 0; row < 2; ++row) {
      std::pair<double, std::vector<int64_t>> best{-1e300, {}};
      search_all(*model, prompt_row(asked, row), asked, penalty, {}, best);
      const auto& one = made[static_cast<size_t>(row)];
      EXPECT_EQ(one.tokens, best.second) << "penalty " << penalty << ", row " << row;
      EXPECT_NEAR(one.log_probability, log_probability(*model, prompt_row(asked, row), one.tokens), 1e-10);
    }
  }
}

TEST(Beam, OfWidthOneIsGreedyAndWiderIsNotWorseHere) {
  auto model = decoder();
  const auto asked = request(4, 8);
  const auto greedy = decode(*model, asked, "greedy");
  const auto one = decode(*model, asked, "beam", {{"width", 1}}),
             six = decode(*model, asked, "beam", {{"width", 6}});
  for (size_t row = 0; row < 4; ++row) {
    EXPECT_EQ(one[row].tokens, greedy[row].tokens);
    EXPECT_GE(six[row].log_probability, greedy[row].log_probability - 1e-12);
  }
}

TEST(Decode, ReadsTheSourceOfAnEncoderDecoder) {
  const auto json =
      Json::parse(R"({"formwork": 1, "model": {"type": "encoder_decoder", "vocab": 7, "width": 16,
    "encoder_layers": {"repeat": 1, "pattern": [{"mixer": {"type": "attention", "heads": 2}}]},
    "decoder_layers": {"repeat": 1, "pattern": [{"mixer": {"type": "attention", "heads": 2},
               "cross": {"type": "attention", "heads": 2, "memory": "memory"}}]}}})");
  auto model = build_model(Spec::from_json(json, "test"), 4, at::kDouble);
  auto asked = request(2, 4);
  asked.source = {{"input_ids", at::tensor({1, 2, 3, 4, 5, 6}, at::kLong).view({2, 3})}};
  const auto made = decode(*model, asked, "greedy");
  const at::NoGradGuard guard;
  auto ids = asked.prompt;
  for (size_t step = 0; step < 4; ++step) {
    auto ctx = model->make_context();
    const auto out =
        model->forward(ctx, {{"input_ids", asked.source["input_ids"]}, {"decoder_input_ids", ids}});
    const auto next = out.at("logits").select(1, -1).argmax(-1, true);
    for (size_t row = 0; row < 2; ++row)
      EXPECT_EQ(made[row].tokens[step], next[static_cast<int64_t>(row)].item<int64_t>());
    ids = at::cat({ids, next}, 1);
  }
}

TEST(Decode, RefusesWhatItCannotContinue) {
  auto model = decoder();
  DecodeRequest none = request(1, 3);
  none.prompt = at::empty({1, 0}, at::kLong);
  EXPECT_THROW(decode(*model, none, "greedy"), Error);
  EXPECT_THROW(decode(*model, request(1, 0), "greedy"), Error);
  EXPECT_THROW(decode(*model, request(1, 1), "gredy"), Error);
  EXPECT_THROW(decode(*model, request(1, 1), "sample", {{"top_p", 0}}), Error);
}

}  // namespace
}  // namespace formwork
