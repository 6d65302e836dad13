#include "formwork/text/unicode/unicode_classes.h"

#include <utf8proc.h>

#include <array>

#include "formwork/text/unicode/unicode_tables.h"

namespace formwork {
namespace {

utf8proc_category_t category(uint32_t code) {
  return code > 0x10FFFF ? UTF8PROC_CATEGORY_CN : utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool between(utf8proc_category_t value, utf8proc_category_t first, utf8proc_category_t last) {
  return value >= first && value <= last;
}

bool is_mark(utf8proc_category_t value) { return between(value, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME); }

CharacterClass classify(uint32_t code) {
  if (is_space(code)) return CharacterClass::space;
  const utf8proc_category_t value = category(code);
  if (between(value, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO)) return CharacterClass::letter;
  if (between(value, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO)) return CharacterClass::number;
  if (value != UTF8PROC_CATEGORY_CN) return CharacterClass::other;
  if (in_table(UnicodeTable::newer_letters, code)) return CharacterClass::letter;
  if (in_table(UnicodeTable::newer_numbers, code)) return CharacterClass::number;
  return CharacterClass::other;
}

std::array<CharacterClass, 128> ascii_classes() {
  std::array<CharacterClass, 128> classes{};
  for (uint32_t code = 0; code < 128; ++code) classes[code] = classify(code);
  return classes;
}

// Lower-case forms that came after Unicode 14; 0 for none.
uint32_t newer_lower(uint32_t code) {
  if (code >= 0x10D50 && code <= 0x10D65) return code + 0x20;
  if (code >= 0x16EA0 && code <= 0x16EB8) return code + 0x1B;
  switch (code) {
    case 0xA7CB:
      return 0x264;
    case 0xA7DC:
      return 0x19B;
    case 0x1C89:
    case 0xA7CC:
    case 0xA7CE:
    case 0xA7D2:
    case 0xA7D4:
    case 0xA7DA:
      return code + 1;
    default:
      return 0;
  }
}

}  // namespace

CharacterClass character_class(uint32_t code) {
  static const std::array<CharacterClass, 128> ascii = ascii_classes();
  return code < 128 ? ascii[code] : classify(code);
}

bool is_space(uint32_t code) {
  return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

bool is_numeric(uint32_t code) {
  if (code < 128) return code >= '0' && code <= '9';
  return classify(code) == CharacterClass::number || (code >= 0x11DE0 && code <= 0x11DE9) ||
         (code >= 0x16FF4 && code <= 0x16FF6);
}

bool is_punctuation(uint32_t code) {
  if (code < 128)
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
           (code >= '{' && code <= '~');
  if (code == 0x166D || code == 0x111C9) return true;  // reclassified after Unicode 8
  return between(category(code), UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO) &&
         !in_table(UnicodeTable::younger_punctuation, code);
}

bool is_control(uint32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  const utf8proc_category_t value = category(code);
  if (value == UTF8PROC_CATEGORY_CC || value == UTF8PROC_CATEGORY_CO) return true;
  if (value != UTF8PROC_CATEGORY_CF) return false;
  const bool younger = code == 0x890 || code == 0x891 || code == 0x8E2 || code == 0x110CD ||
                       (code >= 0x13430 && code <= 0x1343F);
  return !younger;
}

bool is_nonspacing_mark(uint32_t code) {
  if (code == 0x1734) return true;  // reclassified after Unicode 8
  return code >= 128 && category(code) == UTF8PROC_CATEGORY_MN &&
         !in_table(UnicodeTable::younger_nonspacing, code);
}

bool is_combining_mark(uint32_t code) {
  if (code == 0x1CF2 || code == 0x1CF3) return true;  // reclassified after Unicode 9
  return code >= 128 && is_mark(category(code)) && !in_table(UnicodeTable::younger_combining, code);
}

bool is_chinese(uint32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B81F) ||
         (code >= 0x2B920 && code <= 0x2CEAF) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0x2F800 && code <= 0x2FA1F);
}

bool is_word(uint32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    case UTF8PROC_CATEGORY_CN:
      return in_table(UnicodeTable::newer_letters, code) || in_table(UnicodeTable::newer_marks, code) ||
             (in_table(UnicodeTable::newer_numbers, code) && (code < 0x1D2C0 || code > 0x1D2D3));
    default:  // joiners and the circled letters
      return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
             (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
             (code >= 0x1F170 && code <= 0x1F189);
  }
}

void append_lower(std::string& text, uint32_t code) {
  if (code == 0x130) {  // the one character whose lower-case form is two
    text += "i\xCC\x87";
    return;
  }
  const uint32_t newer = code >= 0x1C89 ? newer_lower(code) : 0;
  append_utf8(text,
              newer ? newer : static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

}  // namespace formwork
