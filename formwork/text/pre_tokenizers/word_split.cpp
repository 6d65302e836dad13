#include "formwork/text/pre_tokenizers/word_split.h"

#include "formwork/text/unicode/unicode_classes.h"

namespace formwork {
namespace {

struct Character {
  CharacterClass kind;
  size_t end;
};

Character character_at(std::string_view text, size_t at) {
  const CodePoint point = next_code_point(text, at);
  return {character_class(point.code), at + static_cast<size_t>(point.bytes)};
}

size_t run_end(std::string_view text, size_t at, CharacterClass kind) {
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (next.kind != kind) break;
    at = next.end;
  }
  return at;
}

// The last space before a word belongs to that word (or stands alone), so a longer run leaves it out.
size_t space_end(std::string_view text, size_t at) {
  size_t last = at, end = at;
  while (end < text.size()) {
    const Character next = character_at(text, end);
    if (next.kind != CharacterClass::space) return last > at ? last : end;
    last = end;
    end = next.end;
  }
  return end;
}

bool is_line_end(char byte) { return byte == '\n' || byte == '\r'; }

// One letter of a contraction, in lower case; the long s (U+017F) folds to s.
char folded(std::string_view text, size_t& at) {
  if (text.substr(at, 2) == "\xC5\xBF") {
    at += 2;
    return 's';
  }
  const char byte = at < text.size() ? text[at++] : '\0';
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte;
}

size_t contraction_end(std::string_view text, size_t at) {
  for (std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(at, ending.size()) == ending) return at + ending.size();
  return at;
}

size_t folded_contraction_end(std::string_view text, size_t at) {
  size_t end = at + 1;
  const char first = folded(text, end);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return end;
  if (first != 'r' && first != 'v' && first != 'l') return at;
  return folded(text, end) == (first == 'l' ? 'l' : 'e') ? end : at;
}

size_t gpt2_end(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    const size_t end = contraction_end(text, at);
    if (end > at) return end;
  }
  const size_t start = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  const Character first = character_at(text, start);
  return first.kind == CharacterClass::space ? space_end(text, at) : run_end(text, first.end, first.kind);
}

// White space up to its last line end, or else as GPT-2 has it.
size_t lines_end(std::string_view text, size_t at) {
  size_t last = at;
  for (size_t end = at; end < text.size();) {
    const Character next = character_at(text, end);
    if (next.kind != CharacterClass::space) break;
    if (is_line_end(text[end])) last = next.end;
    end = next.end;
  }
  return last > at ? last : space_end(text, at);
}

size_t marks_end(std::string_view text, size_t at) {
  at = run_end(text, at, CharacterClass::other);
  while (at < text.size() && is_line_end(text[at])) ++at;
  return at;
}

size_t llama3_end(std::string_view text, size_t at, int digits) {
  if (text[at] == '\'') {
    const size_t end = folded_contraction_end(text, at);
    if (end > at) return end;
  }
  const Character first = character_at(text, at);
  if (first.kind == CharacterClass::letter) return run_end(text, first.end, CharacterClass::letter);
  if (first.kind == CharacterClass::number) {
    size_t end = first.end;
    for (int count = 1; count < digits && end < text.size(); ++count) {
      const Character next = character_at(text, end);
      if (next.kind != CharacterClass::number) break;
      end = next.end;
    }
    return end;
  }
  if (first.end < text.size()) {
    const Character second = character_at(text, first.end);
    if (second.kind == CharacterClass::letter && !is_line_end(text[at]))
      return run_end(text, second.end, CharacterClass::letter);
    if (second.kind == CharacterClass::other && text[at] == ' ') return marks_end(text, second.end);
  }
  return first.kind == CharacterClass::other ? marks_end(text, first.end) : lines_end(text, at);
}

struct Known {
  std::string_view regex;
  WordPattern pattern;
};

// Spellings of the same patterns in published tokenizer files; the first of each is the usual one.
constexpr Known known_patterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", WordPattern::gpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", WordPattern::gpt2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     WordPattern::llama3},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     WordPattern::llama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     WordPattern::qwen2},
};

}  // namespace

std::optional<WordPattern> known_pattern(std::string_view regex) {
  for (const Known& entry : known_patterns)
    if (entry.regex == regex) return entry.pattern;
  return {};
}

std::string_view pattern_text(WordPattern pattern) {
  for (const Known& entry : known_patterns)
    if (entry.pattern == pattern) return entry.regex;
  return {};
}

size_t word_end(WordPattern pattern, std::string_view text, size_t at) {
  switch (pattern) {
    case WordPattern::gpt2:
      return gpt2_end(text, at);
    case WordPattern::llama3:
      return llama3_end(text, at, 3);
    case WordPattern::qwen2:
      return llama3_end(text, at, 1);
  }
  return text.size();
}

}  // namespace formwork
