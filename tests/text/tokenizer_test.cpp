#include "formwork/text/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "formwork/core/error.h"
#include "formwork/text/byte_tokenizer.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/models/bpe_trainer.h"
#include "formwork/text/pre_tokenizers/word_split.h"
#include "formwork/text/unicode/byte_level.h"

namespace formwork {
namespace {

std::string random_bytes(std::mt19937& random, size_t count) {
  std::string bytes(count, ' ');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string shakespeare() {
  const char* folder = std::getenv("FORMWORK_DATA");
  if (!folder) return "";
  std::ifstream file(std::string(folder) + "/text/tinyshakespeare.txt", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for_each_word(WordPattern::gpt2, text, [&](std::string_view word) { result.emplace_back(word); });
  return result;
}

// The textbook algorithm: find the earliest merge anywhere in the word, apply it, start over.
std::vector<int64_t> slow_encode(const BpeModel& model, std::string_view text) {
  std::vector<int64_t> ids;
  for (const std::string& word : words(text)) {
    std::vector<std::string> pieces;
    for (char byte : word) pieces.emplace_back(1, byte);
    for (bool merged = true; merged;) {
      merged = false;
      for (const auto& [left, right] : model.merges) {
        for (size_t i = 0; i + 1 < pieces.size() && !merged; ++i) {
          if (pieces[i] != model.tokens[left] || pieces[i + 1] != model.tokens[right]) continue;
          pieces[i] += pieces[i + 1];
          pieces.erase(pieces.begin() + i + 1);
          merged = true;
        }
        if (merged) break;
      }
    }
    for (const std::string& piece : pieces)
      ids.push_back(std::find(model.tokens.begin(), model.tokens.end(), piece) - model.tokens.begin());
  }
  return ids;
}

}  // namespace

TEST(WordSplit, FollowsThePatternOfGpt2) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(words("Hello  world's 42nd, \n\n x "),
            (Words{"Hello", " ", " world", "'s", " 42", "nd", ",", " \n\n", " x", " "}));
  EXPECT_EQ(words("\xC3\xA9t\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87!"),
            (Words{"\xC3\xA9t\xC3\xA9", " \xE4\xB8\xAD\xE6\x96\x87", "!"}));
  EXPECT_EQ(words("'llama"), (Words{"'ll", "ama"}));
  EXPECT_EQ(words(""), Words{});
}

TEST(ByteLevel, IsABijectionOnBytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(from_byte_level(to_byte_level(all)), all);
  EXPECT_EQ(to_byte_level(" a\n"),
            "\xC4\xA0"
            "a"
            "\xC4\x8A");
  EXPECT_FALSE(from_byte_level("\xE2\x82\xAC"));
}

TEST(ByteTokenizer, MapsEveryByteToItself) {
  const auto tokenizer = byte_tokenizer();
  EXPECT_EQ(tokenizer->encode("Az\xFF"), (std::vector<int64_t>{65, 122, 255}));
  EXPECT_EQ(tokenizer_from_json(tokenizer->to_json(), "memory")->name(), "byte");
  EXPECT_THROW(tokenizer->decode({256}), Error);
  EXPECT_THROW(tokenizer->decode({-1}), Error);
}

TEST(Bpe, LearnsTheMostFrequentPairsFirstAndBreaksTiesById) {
  const auto tokenizer = train_bpe("hug hug pug pun bun hugs", {.vocab_size = 260});
  std::vector<std::string> learned;
  for (int64_t id = 256; id < tokenizer->vocab_size(); ++id) learned.push_back(tokenizer->token(id));
  // "ug" 4 times; then "hug" 3; then pairs seen twice: (h)... " hug", " pu", ... by the smaller ids.
  EXPECT_EQ(learned[0], "ug");
  EXPECT_EQ(learned.size(), 4u);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("hugging bugs")), "hugging bugs");
}

TEST(Bpe, CountsOverlappingPairsRight) {
  const auto tokenizer = train_bpe("aaaa aaaa aaaa", {.vocab_size = 300});
  EXPECT_EQ(tokenizer->encode("aaaa").size(), 1u);
  EXPECT_LT(tokenizer->vocab_size(), 300);
}

TEST(Bpe, EncodesAsTheTextbookAlgorithmDoes) {
  std::mt19937 random(3);
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "aabbc '"[random() % 7];
  const BpeModel model = train_bpe_model(text, {.vocab_size = 330});
  const auto tokenizer = tokenizer_from_json(bpe_model_to_json(model), "memory");
  for (int trial = 0; trial < 20; ++trial) {
    std::string sample;
    for (int i = 0; i < 60; ++i) sample += "aabbc 'x"[random() % 8];
    EXPECT_EQ(tokenizer->encode(sample), slow_encode(model, sample)) << sample;
  }
}

TEST(Bpe, RoundTripsAnyBytesThroughJson) {
  std::mt19937 random(1);
  const auto trained = train_bpe(random_bytes(random, 3000) + "the cat sat on the mat the cat",
                                 {.vocab_size = 300, .special = {"<|end|>", "<|\xE2\x82\xAC|>"}});
  const std::string saved = trained->to_json().dump();
  const auto loaded = tokenizer_from_json(nlohmann::json::parse(saved), "memory");
  EXPECT_EQ(loaded->name(), "bpe");
  EXPECT_EQ(loaded->to_json().dump(), saved);
  for (int trial = 0; trial < 200; ++trial) {
    const std::string text = random_bytes(random, random() % 80);
    EXPECT_EQ(loaded->decode(loaded->encode(text)), text);
    EXPECT_EQ(loaded->encode(text), trained->encode(text));
  }
}

TEST(Bpe, KeepsSpecialTokensWhole) {
  const auto tokenizer = train_bpe("to be or not to be", {.vocab_size = 265, .special = {"<s>", "<s>>"}});
  EXPECT_EQ(tokenizer->encode("<s>>"), std::vector<int64_t>{1});
  const auto ids = tokenizer->encode("be<s>to<s>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 2);
  EXPECT_EQ(tokenizer->decode(ids), "be<s>to<s>");
}

TEST(Bpe, EncodesLongWordsAndLongTextsFast) {
  const auto tokenizer = train_bpe("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", {.vocab_size = 300});
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(std::string(300000, 'a'))).size(), 300000u);
}

TEST(Bpe, CompressesRealText) {
  const std::string text = shakespeare();
  if (text.empty()) GTEST_SKIP() << "FORMWORK_DATA is not set: no Shakespeare to train on";
  const auto tokenizer = train_bpe(text, {.vocab_size = 1024});
  const auto ids = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->vocab_size(), 1024);
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_LT(ids.size() * 2.2, text.size());
}

TEST(Bpe, RefusesWrongContentWithOneLine) {
  EXPECT_THROW(train_bpe("x", {.vocab_size = 255}), Error);
  EXPECT_THROW(train_bpe("x", {.vocab_size = 400, .special = {"a", "a"}}), Error);
  const nlohmann::json good = byte_tokenizer()->to_json();
  const auto message = [](const nlohmann::json& content) -> std::string {
    try {
      tokenizer_from_json(content, "t.json");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  nlohmann::json bad = good;
  bad["model"]["type"] = "WordPiece";
  EXPECT_EQ(message(bad), "t.json: the unknown token '[UNK]' is not in the vocabulary");
  bad = good;
  bad["model"]["vocab"]["a"] = 99999;
  EXPECT_EQ(message(bad), "t.json: expected a token id in [0, 5120), found 99999");
  bad["model"]["vocab"]["a"] = 98;
  EXPECT_EQ(message(bad), "t.json: token id 98 is used twice");
  bad["model"]["type"] = "Bpe";
  EXPECT_EQ(message(bad), "t.json: unknown model 'Bpe'; the nearest known is BPE");
  bad = good;
  bad = good;
  bad["model"]["merges"].push_back("q Z");
  EXPECT_EQ(message(bad), "t.json: a merge names the token 'qZ', which is not in the vocabulary");
  EXPECT_NE(message(nlohmann::json::array()), "");
  EXPECT_THROW(load_tokenizer("/nonexistent/tokenizer.json"), Error);
}

// Random damage to a valid file gives a tokenizer or an Error, nothing else.
TEST(Bpe, SurvivesDamagedContent) {
  const nlohmann::json good =
      train_bpe("the cat the cat", {.vocab_size = 262, .special = {"<s>"}})->to_json();
  const nlohmann::json junk[] = {nullptr, -1, 7, 1e300, "x", "\xC3\xA9 \xE2\x82\xAC", {}, {1, 2}, {{"a", 3}}};
  std::mt19937 random(5);
  const std::vector<std::string> places = {"/model",          "/model/vocab",         "/model/merges",
                                           "/model/merges/0", "/model/vocab/a",       "/added_tokens",
                                           "/added_tokens/0", "/added_tokens/0/id",   "/pre_tokenizer",
                                           "/model/merges/1", "/model/ignore_merges", "/normalizer"};
  for (const std::string& place : places) {
    for (const nlohmann::json& value : junk) {
      nlohmann::json damaged = good;
      damaged[nlohmann::json::json_pointer(place)] = value;
      try {
        tokenizer_from_json(damaged, "damaged")->encode("the cat <s>");
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace formwork
