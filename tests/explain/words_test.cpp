#include "formwork/explain/attribution/words.h"

#include <gtest/gtest.h>

#include "formwork/explain/attribution/token_contributions.h"
#include "formwork/explain/probe.h"
#include "formwork/text/byte_tokenizer.h"

namespace formwork {
namespace {

std::shared_ptr<Model> encoder() {
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "encoder", "vocab": 256, "width": 8,
    "position": {"type": "learned", "context": 16}, "norm": null, "head": {"type": "classifier", "classes": 3},
    "layers": {"repeat": 2, "pattern": [{"type": "post", "norm": "layer_norm",
      "mixer": {"type": "attention", "heads": 2, "bias": true}, "channel": {"type": "mlp", "hidden": 12}}]}}})");
  auto model = build_model(Spec::from_json(json, "test"), 3, at::kDouble);
  const at::NoGradGuard guard;
  at::manual_seed(4);
  for (auto& param : model->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value), 0.2);
  return model;
}

Record row_of(std::vector<int64_t> ids) { return {{"input_ids", at::tensor(ids, at::kLong).unsqueeze(0)}}; }

Tensor row_logits(Model& model, const Record& row) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, row).at("logits")[0];
}

TEST(TokenContributions, EndsAreTheLogitsAndNothing) {
  auto model = encoder();
  const auto row = row_of({5, 9, 200, 31, 7});
  const auto logits = row_logits(*model, row);
  TokenOptions options;
  for (const char* attention : {"frozen", "split"}) {
    options.rules = {attention, "exact", "remainder", "all"};
    const auto found = token_contributions(*model, row, {{0, 1, 2, 3, 4}, {}, {2}}, options);
    EXPECT_EQ(found.label, logits.argmax().item<int64_t>());
    EXPECT_EQ(found.foil, std::get<1>(logits.topk(2))[1].item<int64_t>());
    EXPECT_NEAR(found.scores[0], found.difference, 1e-12);
    EXPECT_EQ(found.scores[1], 0);
    EXPECT_NE(found.scores[2], 0);
    EXPECT_LT(found.error, 1e-12);
  }
}

// The split may begin at any layer; at the last one, what tokens have told each other before is not taken
// apart.
TEST(TokenContributions, LevelIsWhereTheSplitBegins) {
  auto model = encoder();
  const auto row = row_of({5, 9, 200, 31});
  TokenOptions first, second;
  second.level = 1;
  const auto sources = blocks_of(4, 1);
  const auto at_first = token_contributions(*model, row, sources, first),
             at_second = token_contributions(*model, row, sources, second);
  EXPECT_LT(at_second.error, 1e-12);
  EXPECT_NE(at_first.scores, at_second.scores);
  second.level = 2;
  EXPECT_THROW(token_contributions(*model, row, sources, second), Error);
}

TEST(TokenContributions, PaddingAndChunksChangeNothing) {
  auto model = encoder();
  const auto alone = token_contributions(*model, row_of({5, 9, 200}), blocks_of(3, 1), {});
  Record batch{{"input_ids", at::tensor({5, 9, 200, 0, 0, 1, 2, 3, 4, 6}, at::kLong).view({2, 5})},
               {"attention_mask", at::tensor({1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, at::kLong).view({2, 5})}};
  EXPECT_EQ(real_places(batch, 0), (std::vector<int64_t>{0, 1, 2}));
  TokenOptions one;
  one.chunk = 1;
  const auto padded = token_contributions(*model, real_row(batch, 0), blocks_of(3, 1), one);
  ASSERT_EQ(alone.scores.size(), padded.scores.size());
  for (size_t i = 0; i < alone.scores.size(); ++i) EXPECT_NEAR(alone.scores[i], padded.scores[i], 1e-12);
}

TEST(TokenContributions, Refuse) {
  auto model = encoder();
  const auto row = row_of({5, 9, 200});
  TokenOptions options;
  options.label = 3;
  EXPECT_THROW(token_contributions(*model, row, {{0}}, options), Error);
  options.label = options.foil = 1;
  EXPECT_THROW(token_contributions(*model, row, {{0}}, options), Error);
  EXPECT_THROW(token_contributions(*model, row, {{3}}, {}), Error);
}

TEST(Blocks, AreDisjointAndCoverTheRow) {
  EXPECT_EQ(blocks_of(5, 2), (std::vector<Places>{{0, 1}, {2, 3}, {4}}));
  EXPECT_EQ(blocks_of(2, 1), (std::vector<Places>{{0}, {1}}));
}

std::vector<int64_t> bytes_of(const std::string& text) { return byte_tokenizer()->encode(text); }

TEST(Words, BeginAfterSpaces) {
  const Json meta = {{"tokenizer", Json::parse(byte_tokenizer()->to_json().dump())}};
  const TokenNames names(meta);
  const auto words = names.words(bytes_of("a bc  d"));
  std::vector<std::string> texts;
  for (const auto& word : words) texts.push_back(word.text);
  std::vector<int64_t> places;
  for (const auto& word : words) places.insert(places.end(), word.places.begin(), word.places.end());
  EXPECT_EQ(places, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(std::count(texts.begin(), texts.end(), "bc"), 1);
}

TEST(Words, WithoutATokenizerAreTokens) {
  const auto words = TokenNames({{"symbols", {"_", "x", "y"}}}).words({2, 1, 2});
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words[0].text, "y");
  EXPECT_EQ(words[1].text, "x");
  EXPECT_EQ(TokenNames(Json::object()).words({7})[0].text, "7");
  EXPECT_EQ(TokenNames({{"symbols", {"_", "x"}}}).answer(1), "x");
  EXPECT_EQ(TokenNames({{"symbols", {"_", "x"}}, {"labels", {"no", "yes"}}}).answer(1), "yes");
}

TEST(CdtWordsProbe, ReportsWordsAndWarnsOfPadding) {
  auto model = encoder();
  Record batch{{"input_ids", at::tensor({5, 9, 200, 0, 1, 2, 3, 4}, at::kLong).view({2, 4})},
               {"attention_mask", at::tensor({1, 1, 1, 0, 1, 1, 1, 1}, at::kLong).view({2, 4})}};
  const auto probe = Registry<Probe>::make(PartSpec("cdt_words"));
  const auto report = probe->run(*model, {batch});
  EXPECT_EQ(report["rows"], 2);
  EXPECT_EQ(report["words"].size(), 7u);
  EXPECT_FALSE(report.contains("warnings"));
  Page page("test");
  probe->draw(page, report);
  EXPECT_NE(page.html().find("do not add up"), std::string::npos);
  const auto chosen =
      Registry<Probe>::make(PartSpec("cdt_words", {{"sources", {{0, 3}}}}))->run(*model, {batch});
  ASSERT_EQ(chosen["warnings"].size(), 1u);
  EXPECT_NE(chosen["warnings"][0]["warning"].get<std::string>().find("place 3 of row 0"), std::string::npos);
  EXPECT_EQ(chosen["words"].size(), 2u);
  EXPECT_THROW(Registry<Probe>::make(PartSpec("cdt_words", {{"sources", {{4}}}}))->run(*model, {batch}),
               Error);
  EXPECT_THROW(Registry<Probe>::make(PartSpec("cdt_words", {{"sources", {4}}})), Error);
}

}  // namespace
}  // namespace formwork
