#include "formwork/text/normalizers/charsmap.h"

#include <cstring>

#include "formwork/core/error.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Fields of a unit of the double array (Darts-clone).
uint32_t offset_of(uint32_t unit) { return unit >> 10 << ((unit & (1u << 9)) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) == 1; }
uint32_t value_of(uint32_t unit) { return unit & ~(1u << 31); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view where) {
  uint32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  if (bytes.size() < 8 || size % 4 != 0 || size < 4 || size > bytes.size() - 4)
    fail("{}: expected a character map with a trie of {} bytes, found {} bytes in all", where, size,
         bytes.size());
  units_.resize(size / 4);
  std::memcpy(units_.data(), bytes.data() + 4, size);
  texts_ = bytes.substr(4 + size);
  texts_ += '\0';
  if (!is_utf8(texts_)) fail("{}: expected a character map in UTF-8, found other bytes", where);
}

// Calls visit(length, replacement), shortest first, until it returns false.
template <class Visit>
void Charsmap::prefixes(std::string_view text, Visit&& visit) const {
  uint64_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label_of(units_[node]) != byte) return;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    const uint32_t start = node < units_.size() ? value_of(units_[node]) : 0xFFFFFFFF;
    const bool inside_character = start < texts_.size() && (texts_[start] & 0xC0) == 0x80;
    if (start >= texts_.size() || inside_character) return;
    if (!visit(i + 1, std::string_view(texts_.c_str() + start))) return;
  }
}

std::optional<std::string_view> Charsmap::replacement(std::string_view text) const {
  std::optional<std::string_view> found;
  prefixes(text, [&](size_t, std::string_view value) {
    found = value;
    return false;
  });
  return found;
}

std::optional<std::string_view> Charsmap::longest(std::string_view text, size_t& length) const {
  std::optional<std::string_view> found;
  prefixes(text, [&](size_t bytes, std::string_view value) {
    found = value;
    length = bytes;
    return true;
  });
  return found;
}

std::string from_base64(std::string_view text, std::string_view where) {
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const size_t value = alphabet.find(c);
    if (value == std::string_view::npos)
      fail("{}: expected base64, found the byte {}", where, static_cast<uint8_t>(c));
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held);
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) text += at + i <= bytes.size() ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

}  // namespace formwork
