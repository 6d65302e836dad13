#include <gtest/gtest.h>

#include "formwork/core/error.h"
#include "formwork/text/models/unigram_trainer.h"
#include "formwork/text/models/wordpiece_trainer.h"

namespace formwork {
namespace {

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

}  // namespace

TEST(WordPieceTraining, JoinsTheMostFrequentPairsFirst) {
  // Words: hug 10, pug 5, pun 12, bun 4, hugs 5 (the example of the Hugging Face course).
  const std::string text = repeated("Hug ", 10) + repeated("pug ", 5) + repeated("pun ", 12) +
                           repeated("bun ", 4) + repeated("hugs ", 5);
  const auto tokenizer = train_wordpiece(text, {.vocab_size = 5 + 7 + 3});
  EXPECT_EQ(tokenizer->vocab_size(), 15);
  EXPECT_EQ(tokenizer->piece(12), "##ug");  // 20 times
  EXPECT_EQ(tokenizer->piece(13), "##un");  // 16
  EXPECT_EQ(tokenizer->piece(14), "hug");   // 15
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("hugs bun pug")), "hugs bun pug");
  EXPECT_EQ(tokenizer->encode("hug"), std::vector<int64_t>{14});
  EXPECT_EQ(tokenizer->encode("x"), std::vector<int64_t>{1});
  EXPECT_THROW(train_wordpiece(text, {.vocab_size = 5}), Error);
  EXPECT_THROW(train_wordpiece(text, {.special = {"[CLS]"}}), Error);
}

TEST(UnigramTraining, KeepsThePiecesThatExplainTheText) {
  const std::string text = repeated("the cat sat on the mat with the other cat\n", 30) + "zebra\n";
  const auto tokenizer = train_unigram(text, {.vocab_size = 40});
  EXPECT_LE(tokenizer->vocab_size(), 40);
  EXPECT_EQ(tokenizer->encode("the").size(), 1u);
  EXPECT_EQ(tokenizer->encode("cat").size(), 1u);
  EXPECT_GT(tokenizer->encode("zebra").size(), 2u);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("the zebra sat")), "the zebra sat");
  EXPECT_EQ(tokenizer->encode("q").back(), 0);
  EXPECT_LT(tokenizer->encode(text).size(), train_unigram(text, {.vocab_size = 20})->encode(text).size());
  EXPECT_THROW(train_unigram("", {}), Error);
  EXPECT_THROW(train_unigram(text, {.special = {"<s>"}}), Error);
}

}  // namespace formwork
