#include "formwork/text/normalizers/unicode_normalize.h"

#include <utf8proc.h>

#include <cstdlib>

#include "formwork/core/error.h"
#include "formwork/text/unicode/unicode_tables.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

utf8proc_option_t options_of(UnicodeForm form) {
  const bool compose = form == UnicodeForm::nfc || form == UnicodeForm::nfkc;
  const bool compatible = form == UnicodeForm::nfkc || form == UnicodeForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

void append_form(std::string& result, std::string_view text, utf8proc_option_t options) {
  if (text.empty()) return;
  utf8proc_uint8_t* form = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &form, options);
  if (size < 0) fail("normalizing text: {}", utf8proc_errmsg(size));
  result.append(reinterpret_cast<const char*>(form), static_cast<size_t>(size));
  std::free(form);
}

}  // namespace

// ASCII is its own form, and nothing composes to the left of an ASCII character, so only runs of other
// characters, with the character before them, go through utf8proc.
std::string unicode_normalized(std::string_view text, UnicodeForm form) {
  const utf8proc_option_t options = options_of(form);
  std::string result;
  result.reserve(text.size());
  size_t start = 0;  // of what is not yet in `result`
  bool plain = true;
  const auto flush = [&](size_t end) {
    const std::string_view run = text.substr(start, end - start);
    if (plain)
      result += run;
    else
      append_form(result, run, options);
    start = end;
    plain = true;
  };
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (point.code < 0x80) {
      if (!plain) flush(at);
    } else if (in_table(UnicodeTable::younger_normalized, point.code)) {
      flush(at);
      result += text.substr(at, point.bytes);
      start = at + point.bytes;
    } else if (plain) {
      if (at > start) flush(at - 1);
      plain = false;
    }
    at += point.bytes;
  }
  flush(text.size());
  return result;
}

}  // namespace formwork
