#include "formwork/text/unicode/utf8.h"

#include <cstring>

namespace formwork {
namespace {

uint8_t byte_at(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

// The length that a first byte announces; 0 for a byte that starts no character.
int announced(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  return lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
}

// Whether `second` may follow `lead`: rules out overlong forms, surrogates and what lies above U+10FFFF.
bool may_follow(uint8_t lead, uint8_t second) {
  if ((second & 0xC0) != 0x80) return false;
  if (lead == 0xE0) return second >= 0xA0;
  if (lead == 0xED) return second < 0xA0;
  if (lead == 0xF0) return second >= 0x90;
  if (lead == 0xF4) return second < 0x90;
  return true;
}

// Bytes from `at` that begin one character, at least 1; `whole` tells whether they are all of it.
size_t valid_part(std::string_view text, size_t at, bool& whole) {
  const uint8_t lead = byte_at(text, at);
  const auto length = static_cast<size_t>(announced(lead));
  whole = length == 1;
  if (length <= 1) return 1;
  size_t count = 1;
  while (count < length && at + count < text.size()) {
    const uint8_t next = byte_at(text, at + count);
    if (count == 1 ? !may_follow(lead, next) : (next & 0xC0) != 0x80) break;
    ++count;
  }
  whole = count == length;
  return count;
}

// The end of the run of ASCII that starts at `at`.
size_t ascii_end(std::string_view text, size_t at) {
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if (word & 0x8080808080808080ull) break;
  }
  while (at < text.size() && byte_at(text, at) < 0x80) ++at;
  return at;
}

}  // namespace

CodePoint next_code_point(std::string_view text, size_t at) {
  const uint8_t lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  bool whole;
  const auto length = static_cast<int>(valid_part(text, at, whole));
  if (!whole) return {invalid_code_point, 1};
  uint32_t code = lead & (0x7F >> length);
  for (int i = 1; i < length; ++i) code = code << 6 | (byte_at(text, at + i) & 0x3F);
  return {code, length};
}

size_t previous_start(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && (byte_at(text, end) & 0xC0) == 0x80);
  return end;
}

void append_utf8(std::string& text, uint32_t code) {
  const auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      add(0xE0 | code >> 12);
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
    }
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

bool is_ascii(std::string_view text) { return ascii_end(text, 0) == text.size(); }

bool is_utf8(std::string_view text) {
  for (size_t at = ascii_end(text, 0); at < text.size(); at = ascii_end(text, at)) {
    bool whole;
    at += valid_part(text, at, whole);
    if (!whole) return false;
  }
  return true;
}

std::string utf8_replaced(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t plain = ascii_end(text, at);
    result += text.substr(at, plain - at);
    at = plain;
    if (at == text.size()) break;
    bool whole;
    const size_t count = valid_part(text, at, whole);
    result += whole ? text.substr(at, count) : std::string_view("\xEF\xBF\xBD");
    at += count;
  }
  return result;
}

size_t finished_utf8(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t at = text.size() - back;
    const uint8_t byte = byte_at(text, at);
    if ((byte & 0xC0) == 0x80) continue;
    bool whole;
    const bool cut = announced(byte) > 1 && valid_part(text, at, whole) == back && !whole;
    return cut ? at : text.size();
  }
  return text.size();
}

}  // namespace formwork
