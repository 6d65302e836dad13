#include "formwork/report/width.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace formwork {
namespace {

struct Character {
  char32_t code;
  size_t bytes;
  bool valid;
};

// The first character of non-empty `text`; an invalid start is one byte long.
Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  const Character invalid{lead, 1, false};
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return invalid;
  char32_t code = lead & (0x7F >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return invalid;
    code = code << 6 | (byte(i) & 0x3F);
  }
  constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  if (code < smallest[bytes] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return invalid;
  return {code, bytes, true};
}

struct CodePoints {
  char32_t first, last;
};

template <size_t N>
bool in_ranges(char32_t code, const std::array<CodePoints, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const CodePoints& range) { return code >= range.first && code <= range.last; });
}

// Unicode 15: blocks whose characters have general category Mn or Cf, or East Asian Width W or F.
constexpr std::array<CodePoints, 8> kZeroWidth{{{0x300, 0x36F},
                                                {0x200B, 0x200F},
                                                {0x202A, 0x202E},
                                                {0x2060, 0x2064},
                                                {0x20D0, 0x20F0},
                                                {0xFE00, 0xFE0F},
                                                {0xFE20, 0xFE2F},
                                                {0xFEFF, 0xFEFF}}};
constexpr std::array<CodePoints, 10> kWide{{{0x1100, 0x115F},
                                            {0x2E80, 0x303E},
                                            {0x3041, 0xA4CF},
                                            {0xA960, 0xA97C},
                                            {0xAC00, 0xD7A3},
                                            {0xF900, 0xFAFF},
                                            {0xFE30, 0xFE6F},
                                            {0xFF00, 0xFF60},
                                            {0x1F300, 0x1FAFF},
                                            {0x20000, 0x3FFFD}}};

int width_of(const Character& character) {
  if (!character.valid || character.code < 0x300) return 1;
  if (in_ranges(character.code, kZeroWidth)) return 0;
  return in_ranges(character.code, kWide) ? 2 : 1;
}

}  // namespace

int display_width(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    columns += width_of(character);
    text.remove_prefix(character.bytes);
  }
  return columns;
}

std::string fit_width(std::string_view text, int columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns <= 0) return {};
  size_t kept = 0;
  for (int used = 0; kept < text.size();) {
    const Character character = first_character(text.substr(kept));
    used += width_of(character);
    if (used > columns - 1) break;
    kept += character.bytes;
  }
  return std::string(text.substr(0, kept)) + "…";
}

std::string pad_width(std::string_view text, int columns, bool right_aligned) {
  const std::string space(std::max(0, columns - display_width(text)), ' ');
  return right_aligned ? space + std::string(text) : std::string(text) + space;
}

std::string printable_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    const bool control = character.code < 0x20 || (character.code >= 0x7F && character.code < 0xA0);
    if (!character.valid) {
      out += "\xEF\xBF\xBD";
    } else if (control) {
      out += ' ';
    } else {
      out += text.substr(0, character.bytes);
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

bool is_terminal(std::FILE* file) {
  const char* kind = std::getenv("TERM");
  return isatty(fileno(file)) != 0 && (kind == nullptr || std::string_view(kind) != "dumb");
}

int terminal_width(std::FILE* file) {
  if (isatty(fileno(file)) == 0) return 0;
  winsize size{};
  return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace formwork
