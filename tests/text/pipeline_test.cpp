// Tokenizers of every kind from small fixtures, with results worked out by hand.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "formwork/core/error.h"
#include "formwork/text/formats/tiktoken_file.h"
#include "formwork/text/formats/tokenizer_parts.h"
#include "formwork/text/models/bpe_trainer.h"
#include "formwork/text/normalizers/charsmap.h"
#include "formwork/text/text_stream.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

json bert_json() {
  return json::parse(
      R"({"added_tokens": [{"id": 0, "content": "[UNK]", "special": true}, {"id": 1, "content": "[CLS]", "special": true},
      {"id": 2, "content": "[SEP]", "special": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
      "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "un": 3, "##aff": 4, "##able": 5, "cafe": 6, "!": 7, "\u4e2d": 8, "##a": 9}}})");
}

// Llama 2 in small: the mark before words, bytes for the unknown.
TokenizerParts llama_parts() {
  TokenizerParts parts;
  parts.model = "llama";
  parts.tokens = {"<unk>", "<s>", "</s>"};
  parts.types = {2, 3, 3};
  parts.scores = {0, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    parts.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    parts.types.push_back(6);
    parts.scores.push_back(0);
  }
  float score = -1;
  for (const char* piece : {"\xE2\x96\x81t", "he", "\xE2\x96\x81the", "\xE2\x96\x81", "t", "h", "e"}) {
    parts.tokens.push_back(piece);
    parts.types.push_back(1);
    parts.scores.push_back(score--);
  }
  parts.special.bos = 1;
  parts.special.eos = 2;
  return parts;
}

constexpr int64_t first_piece = 3 + 256;

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(WordPieceTokenizer, TakesTheLongestPieceAndKnowsPairs) {
  const auto tokenizer = tokenizer_from_json(bert_json(), "bert");
  EXPECT_EQ(tokenizer->name(), "wordpiece");
  EXPECT_FALSE(tokenizer->lossless());
  EXPECT_EQ(tokenizer->encode("Unaffable  caf\xC3\xA9!\x01"), (Ids{3, 4, 5, 6, 7}));
  EXPECT_EQ(tokenizer->encode("un\xE4\xB8\xADun"), (Ids{3, 8, 3}));  // ideographs stand alone
  EXPECT_EQ(tokenizer->encode("unknown unaffablea"), (Ids{0, 0}));   // no way to end; more than 9 characters
  EXPECT_EQ(tokenizer->encode("un\xFF"), Ids{3});                    // becomes U+FFFD, which is cleaned away
  const Encoding pair = tokenizer->encode_for_model("un", "cafe");
  EXPECT_EQ(pair.ids, (Ids{1, 3, 2, 6, 2}));
  EXPECT_EQ(pair.types, (Ids{0, 0, 0, 1, 1}));
  EXPECT_EQ(tokenizer->decode({1, 3, 4, 5, 7, 2}), "[CLS] unaffable! [SEP]");
  EXPECT_EQ(tokenizer->decode({1, 3, 4, 5, 7, 2}, true), "unaffable!");
  EXPECT_EQ(tokenizer->token(4), "aff");
  EXPECT_EQ(tokenizer->token(6), " cafe");
  EXPECT_EQ(tokenizer->piece(4), "##aff");
  EXPECT_EQ(tokenizer->id_of("##able"), 5);
  EXPECT_EQ(tokenizer->id_of("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer_from_json(tokenizer->to_json(), "again")->to_json(), tokenizer->to_json());
}

TEST(SentencePieces, MergeByScoreAndFallBackToBytes) {
  const auto tokenizer = tokenizer_from_parts(llama_parts(), "parts");
  EXPECT_EQ(tokenizer->encode("the"), Ids{first_piece + 2});
  EXPECT_EQ(tokenizer->encode("the the"), (Ids{first_piece + 2, first_piece + 2}));
  EXPECT_EQ(tokenizer->encode("t\xC3\xA9"), (Ids{first_piece, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer->encode_for_model("t").ids, (Ids{1, first_piece}));
  EXPECT_EQ(tokenizer->decode({1, first_piece + 2, first_piece + 2, 3 + 0xC3, 3 + 0xA9}, true),
            "the the\xC3\xA9");
  EXPECT_EQ(tokenizer->token(3 + 0xC3), "\xC3");
  EXPECT_EQ(tokenizer->token(first_piece + 2), " the");
  EXPECT_EQ(tokenizer->special().bos, 1);
}

TEST(UnigramTokenizer, FindsTheBestSumOfScores) {
  const json content =
      json::parse(R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"},
    "decoder": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"},
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["_", -2], ["a", -1], ["b", -1], ["ab", -1.5], ["_a", -4], ["ba", -3]]}})");
  const auto tokenizer = tokenizer_from_json(content, "unigram");
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{1, 4}));          // -3.5; "_a" "b" is -5
  EXPECT_EQ(tokenizer->encode("aba"), (Ids{1, 4, 2}));      // -4.5; "_" "a" "ba" is -6
  EXPECT_EQ(tokenizer->encode("a??b"), (Ids{1, 2, 0, 3}));  // neighbours that are unknown make one
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab a")), "ab a");
}

TEST(TokenizerParts, ReadsByteLevelModelsByTheirPreTokenizer) {
  TokenizerParts parts;
  parts.model = "gpt2";
  parts.pre = "smollm";
  parts.tokens = {"<|end|>", "1", "2", "12", "a"};
  parts.types = {3, 1, 1, 1, 1};
  parts.merges = {"1 2"};
  parts.special.eos = 0;
  EXPECT_EQ(tokenizer_from_parts(parts, "p")->encode("a12<|end|>"), (Ids{4, 1, 2, 0}));  // digits stand alone
  parts.pre = "gpt-2";
  EXPECT_EQ(tokenizer_from_parts(parts, "p")->encode("a12"), (Ids{4, 3}));
  parts.pre = "qwen3";
  EXPECT_EQ(message([&] { tokenizer_from_parts(parts, "p"); }),
            "p: unknown pre-tokenizer 'qwen3'; the nearest known is qwen2");
  parts.pre = "gpt-2";
  parts.merges = {"1 3"};
  EXPECT_EQ(message([&] { tokenizer_from_parts(parts, "p"); }),
            "p: expected a merge of two tokens of the vocabulary, found '1 3'");
  parts.types = {1};
  EXPECT_NE(message([&] { tokenizer_from_parts(parts, "p"); }), "");
}

TEST(TokenizerParts, TurnsTheMarksOfBertRound) {
  TokenizerParts parts;
  parts.model = "bert";
  parts.tokens = {"[UNK]",
                  "[CLS]",
                  "[SEP]",
                  "\xE2\x96\x81un",
                  "able",
                  "\xE2\x96\x81"
                  "able"};
  parts.types = {3, 3, 3, 1, 1, 1};
  parts.special.cls = 1;
  parts.special.sep = 2;
  parts.special.unk = 0;
  EXPECT_EQ(tokenizer_from_parts(parts, "p")->encode_for_model("unable able").ids, (Ids{1, 3, 4, 5, 2}));
}

TEST(Tiktoken, MergesByRank) {
  std::string ranks;
  for (const char* token : {"a", "b", "c", " ", "bc", "ab"})
    ranks += to_base64(token) + " " + std::to_string(std::count(ranks.begin(), ranks.end(), '\n')) + "\n";
  const auto tokenizer = tokenizer_from_tiktoken(ranks, "t", WordPattern::llama3, {"<|end|>"});
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{0, 4}));  // "bc" has the lower rank
  EXPECT_EQ(tokenizer->encode("ab<|end|>"), (Ids{5, 6}));
  for (const char* bad : {"", "YQ== x\n", "YQ==\n", "?? 1\n", "YQ== 99999999\n", "YQ== 1\nYg== 1\n"})
    EXPECT_NE(message([&] { tokenizer_from_tiktoken(bad, "t"); }), "") << bad;
}

TEST(AddedTokens, StripAndStandAlone) {
  json content = train_bpe("the cat", {.vocab_size = 256})->to_json();
  content["added_tokens"] = json::parse(R"([{"id": 256, "content": "<m>", "lstrip": true, "special": true},
    {"id": 257, "content": "cat", "single_word": true, "normalized": false}, {"id": 258, "content": "<m>>", "rstrip": true, "normalized": false}])");
  const auto tokenizer = tokenizer_from_json(content, "added");
  const int64_t a = *tokenizer->id_of("a"), space = *tokenizer->id_of("\xC4\xA0");
  EXPECT_EQ(tokenizer->encode("a  <m>a"), (Ids{a, 256, a}));
  EXPECT_EQ(tokenizer->encode("a cat a"), (Ids{a, space, 257, space, a}));
  EXPECT_EQ(tokenizer->encode("acat").size(), 4u);
  EXPECT_EQ(tokenizer->encode("<m>>  a"), (Ids{258, a}));  // the longest of two
}

TEST(TextStream, HoldsBackUnfinishedCharacters) {
  const auto bytes = train_bpe("x", {.vocab_size = 256});
  TextStream stream(*bytes);
  std::string text;
  const std::string original = "a\xC3\xA9 \xF0\x9F\x98\x80!";
  for (const int64_t id : bytes->encode(original)) {
    text += stream.add(id);
    EXPECT_TRUE(is_utf8(text));
  }
  EXPECT_EQ(text + stream.finish(), original);
  const auto pieces = tokenizer_from_parts(llama_parts(), "parts");
  TextStream second(*pieces);
  EXPECT_EQ(second.add(first_piece + 2), "the");
  EXPECT_EQ(second.add(3 + 0xC3), "");
  EXPECT_EQ(second.add(3 + 0xA9), "\xC3\xA9");
  EXPECT_EQ(second.add(first_piece + 2), " the");
  EXPECT_EQ(second.finish(), "");
}

TEST(Tokenizers, EncodeFromSeveralThreadsAlike) {
  const auto tokenizer = train_bpe("the cat sat on the mat with the hat", {.vocab_size = 280});
  const std::string text = "the hat sat on the cat, and the mat with it";
  const Ids expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) wrong += tokenizer->encode(text) != expected;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Tokenizers, LoadAFolderWithItsSpecialIds) {
  char name[] = "/tmp/tokenizer_folder_XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::filesystem::path folder = name;
  EXPECT_NE(message([&] { load_tokenizer(folder); }), "");
  std::ofstream(folder / "tokenizer.json") << bert_json().dump();
  std::ofstream(folder / "special_tokens_map.json") << R"({"cls_token": "[CLS]", "pad_token": "absent"})";
  std::ofstream(folder / "tokenizer_config.json") << R"({"sep_token": {"content": "[SEP]"}})";
  const auto tokenizer = load_tokenizer(folder);
  EXPECT_EQ(tokenizer->special().cls, 1);
  EXPECT_EQ(tokenizer->special().sep, 2);
  EXPECT_EQ(tokenizer->special().pad, std::nullopt);
  std::filesystem::remove(folder / "tokenizer.json");
  std::ofstream(folder / "vocab.txt") << "[UNK]\n[CLS]\n[SEP]\nun\n##aff\n";
  EXPECT_EQ(load_tokenizer(folder)->encode_for_model("unaff").ids, (Ids{1, 3, 4, 2}));
  std::filesystem::remove_all(folder);
}

// Truncated and changed files give a tokenizer or an Error, nothing else.
TEST(Tokenizers, SurviveBrokenFiles) {
  std::mt19937 random(7);
  const std::string good = bert_json().dump();
  int refused = 0;
  for (int trial = 0; trial < 600; ++trial) {
    std::string bad = good;
    if (trial % 2 == 0) bad.resize(random() % bad.size());
    for (int change = 0; trial % 2 == 1 && change < 3; ++change)
      bad[random() % bad.size()] = "{}[]\",:0x\xFF-9"[random() % 13];
    const json content = json::parse(bad, nullptr, false);
    try {
      if (!content.is_discarded())
        tokenizer_from_json(content, "broken")->encode("un able [CLS]");
      else
        ++refused;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
  json deep = bert_json();
  for (int i = 0; i < 20; ++i)
    deep["normalizer"] = {{"type", "Sequence"}, {"normalizers", {deep["normalizer"]}}};
  EXPECT_EQ(message([&] { tokenizer_from_json(deep, "t"); }), "t: normalizers are nested more than 8 deep");
  json far = bert_json();
  far["added_tokens"][0] = {{"id", 1 << 30}, {"content", "far"}};
  EXPECT_NE(message([&] { tokenizer_from_json(far, "t"); }), "");
}

}  // namespace formwork
