// The hand-written splitters against PCRE2 with the regular expressions that they stand for.
#include "formwork/text/pre_tokenizers/word_split.h"

#include <gtest/gtest.h>

#include <random>

#include "formwork/text/regex.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

std::string random_text(std::mt19937& random) {
  constexpr std::string_view pieces[] = {
      "'s", "'S",   "'ll",      "'RE",      "'\xC5\xBF",    "'",        " ",           "  ",
      "\n", "\r\n", "\t",       "a",        "Zq",           "1",        "23",          "4567",
      "!",  "...",  "\xC3\xA9", "\xC2\xA0", "\xE2\x85\xA7", "\xCC\x81", "\xE3\x80\x80"};
  std::string text;
  for (size_t count = random() % 12; count-- > 0;) {
    if (random() % 3 != 0) {
      text += pieces[random() % std::size(pieces)];
      continue;
    }
    const uint32_t limits[] = {0x80, 0x800, 0x10000, 0x32400, 0x110000};
    uint32_t code = 0xD800;
    while (code >= 0xD800 && code <= 0xDFFF) code = random() % limits[random() % 5];
    append_utf8(text, code);
  }
  return text;
}

}  // namespace

class WordSplitAgainstRegex : public testing::TestWithParam<WordPattern> {};

TEST_P(WordSplitAgainstRegex, CutsRandomUnicodeAlike) {
  const Regex regex(pattern_text(GetParam()), "test");
  EXPECT_EQ(known_pattern(pattern_text(GetParam())), GetParam());
  std::mt19937 random(11);
  for (int trial = 0; trial < 20000; ++trial) {
    const std::string text = random_text(random);
    std::vector<std::string> expected, found;
    regex.for_each(text,
                   [&](size_t first, size_t last) { expected.push_back(text.substr(first, last - first)); });
    for_each_word(GetParam(), text, [&](std::string_view word) { found.emplace_back(word); });
    ASSERT_EQ(found, expected) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, WordSplitAgainstRegex,
                         testing::Values(WordPattern::gpt2, WordPattern::llama3, WordPattern::qwen2));

}  // namespace formwork
