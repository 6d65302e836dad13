// Cuts text into the words inside which byte pairs may merge, for the patterns that most models share.
// Bytes that are not UTF-8 count as neither letter, number nor space, so any bytes are cut and none is lost.
#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

namespace formwork {

enum class WordPattern {
  // GPT-2 (Language Models are Unsupervised Multitask Learners, 2019):
  //   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  gpt2,
  // Llama 3, and cl100k of GPT-4 (Llama Team, 2024): contractions in either case, at most three digits,
  // a mark before letters, line ends after marks.
  llama3,
  // Qwen2 (Qwen Team, 2024): the same with single digits.
  qwen2,
};

// The pattern that this regular expression is, when it is a known one.
std::optional<WordPattern> known_pattern(std::string_view regex);

// The regular expression of a pattern, in its usual spelling.
std::string_view pattern_text(WordPattern pattern);

// The end of the word that starts at text[at], at < text.size().
size_t word_end(WordPattern pattern, std::string_view text, size_t at);

// Calls visit(word) for every word in order; the words join to `text`.
template <class Visit>
void for_each_word(WordPattern pattern, std::string_view text, Visit&& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(pattern, text, at);
    visit(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace formwork
