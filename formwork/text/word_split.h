// Cuts text into the words inside which byte pairs may merge.
#pragma once
#include <cstddef>
#include <string_view>

namespace formwork {

// The end of the word that starts at text[at], at < text.size(). Words follow the pattern of GPT-2
// (Language Models are Unsupervised Multitask Learners, 2019):
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Bytes that are not UTF-8 count as the third kind of run, so any bytes are cut and none is lost.
size_t word_end(std::string_view text, size_t at);

// Calls visit(word) for every word in order; the words join to `text`.
template <class Visit>
void for_each_word(std::string_view text, Visit&& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(text, at);
    visit(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace formwork
