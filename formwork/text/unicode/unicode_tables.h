// Where the Unicode versions differ that tokenizers were made with. utf8proc 2.8 knows version 15; the
// regular expressions of the Hugging Face library (Oniguruma) know 16; its punctuation, mark and
// normalization tables are those of versions 8 and 9. Each table lists what one version has and the other
// lacks.
#pragma once
#include <cstdint>
#include <string>

namespace formwork {

enum class UnicodeTable {
  newer_letters,
  newer_numbers,
  newer_marks,
  younger_punctuation,
  younger_nonspacing,
  younger_combining,
  younger_normalized,
};

bool in_table(UnicodeTable table, uint32_t code);

// A `newer` table as ranges inside a character class of a regular expression.
std::string regex_ranges(UnicodeTable table);

}  // namespace formwork
