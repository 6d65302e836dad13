// UTF-8: reading, writing, checking and repairing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace formwork {

inline constexpr uint32_t invalid_code_point = 0xFFFFFFFF;

struct CodePoint {
  uint32_t code;
  int bytes;
};

// The UTF-8 character that starts at text[at]; a byte that starts no valid one is {invalid_code_point, 1}.
CodePoint next_code_point(std::string_view text, size_t at);

// The start of the character that ends at `end` > 0, in valid UTF-8.
size_t previous_start(std::string_view text, size_t end);

void append_utf8(std::string& text, uint32_t code);

bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);

// Invalid bytes become U+FFFD, one for each maximal part of a character (Unicode 15, section 3.9), as
// Python's bytes.decode(errors="replace") does.
std::string utf8_replaced(std::string_view text);

// The bytes before a character that the end of `text` cuts off; text.size() when there is none.
size_t finished_utf8(std::string_view text);

}  // namespace formwork
