// Unicode normalization forms (Unicode Standard Annex 15).
#pragma once
#include <string>
#include <string_view>

namespace formwork {

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

// `text` is valid UTF-8. Characters that Unicode 9 did not normalize stay as they are (unicode_tables.h).
std::string unicode_normalized(std::string_view text, UnicodeForm form);

}  // namespace formwork
