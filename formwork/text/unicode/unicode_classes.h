// The facts about Unicode that splitting and cleaning text need, with the meanings of the Hugging Face
// tokenizers library (see unicode_tables.h for where Unicode versions differ).
#pragma once
#include "formwork/text/unicode/utf8.h"

namespace formwork {

enum class CharacterClass : uint8_t { letter, number, space, other };

// General category L*, N*, property White_Space, or none of them (also for invalid_code_point).
CharacterClass character_class(uint32_t code);
bool is_space(uint32_t code);

// N* as the Digits pre-tokenizer sees it.
bool is_numeric(uint32_t code);

// ASCII punctuation and symbols, or category P*.
bool is_punctuation(uint32_t code);

// Categories Cc, Cf and Co, but not tab, line feed and carriage return.
bool is_control(uint32_t code);

// Category Mn; category M*.
bool is_nonspacing_mark(uint32_t code);
bool is_combining_mark(uint32_t code);

// The blocks of CJK ideographs around which BERT puts spaces.
bool is_chinese(uint32_t code);

// \w: letters, marks, decimal digits, connecting punctuation.
bool is_word(uint32_t code);

// Appends the lower-case form of one character.
void append_lower(std::string& text, uint32_t code);

}  // namespace formwork
