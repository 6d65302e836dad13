#include "formwork/text/word_split.h"

#include "formwork/text/unicode_classes.h"

namespace formwork {
namespace {

CharacterClass class_at(std::string_view text, size_t at) {
  return character_class(next_code_point(text, at).code);
}

size_t contraction_end(std::string_view text, size_t at) {
  for (std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(at, ending.size()) == ending) return at + ending.size();
  return at;
}

size_t run_end(std::string_view text, size_t at, CharacterClass kind) {
  while (at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (character_class(point.code) != kind) break;
    at += point.bytes;
  }
  return at;
}

// The last space before a word belongs to that word (or stands alone), so a longer run leaves it out.
size_t space_end(std::string_view text, size_t at) {
  size_t last = at, end = at;
  while (end < text.size()) {
    const CodePoint point = next_code_point(text, end);
    if (!is_space(point.code)) return last > at ? last : end;
    last = end;
    end += point.bytes;
  }
  return end;
}

}  // namespace

size_t word_end(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    const size_t end = contraction_end(text, at);
    if (end > at) return end;
  }
  const size_t start = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  const CharacterClass kind = class_at(text, start);
  return kind == CharacterClass::space ? space_end(text, at) : run_end(text, start, kind);
}

}  // namespace formwork
