// Precompiled: the character map of a SentencePiece model, applied as the Hugging Face library does: to a
// whole grapheme of fewer than six bytes where its beginning is in the map, else to each character alone.
// With "longest_match" (ours; the library ignores it) as SentencePiece does: the longest entry at each place.
#include <utf8proc.h>

#include <array>
#include <nlohmann/json.hpp>

#include "formwork/text/json_fields.h"
#include "formwork/text/normalizers/charsmap.h"
#include "formwork/text/normalizers/normalizer.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

class Precompiled final : public Normalizer {
 public:
  Precompiled(std::string_view bytes, std::string_view where) : map_(bytes, where) {
    for (size_t code = 0; code < ascii_.size(); ++code) {
      const char c = static_cast<char>(code);
      ascii_[code] = map_.replacement({&c, 1});
    }
  }

  void normalize(std::string& text) const override {
    std::string result;
    result.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const size_t end = grapheme_end(text, at);
      add(result, std::string_view(text).substr(at, end - at));
      at = end;
    }
    text.swap(result);
  }

 private:
  static size_t grapheme_end(std::string_view text, size_t at) {
    const auto is_plain = [&](size_t i) { return i >= text.size() || static_cast<uint8_t>(text[i]) < 0x80; };
    if (is_plain(at) && is_plain(at + 1)) return at + (text.substr(at, 2) == "\r\n" ? 2 : 1);
    CodePoint point = next_code_point(text, at);
    utf8proc_int32_t state = 0;
    for (at += point.bytes; at < text.size(); at += point.bytes) {
      const CodePoint next = next_code_point(text, at);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.code),
                                           static_cast<utf8proc_int32_t>(next.code), &state))
        break;
      point = next;
    }
    return at;
  }

  void add(std::string& result, std::string_view grapheme) const {
    constexpr size_t longest = 5;
    if (grapheme.size() == 1) return add_character(result, grapheme);
    if (grapheme.size() <= longest) {
      if (const auto found = map_.replacement(grapheme)) {
        result += *found;
        return;
      }
    }
    for (size_t at = 0; at < grapheme.size();) {
      const int bytes = next_code_point(grapheme, at).bytes;
      add_character(result, grapheme.substr(at, bytes));
      at += bytes;
    }
  }

  void add_character(std::string& result, std::string_view bytes) const {
    const auto found = bytes.size() == 1 ? ascii_[static_cast<size_t>(bytes[0])] : map_.replacement(bytes);
    result += found.value_or(bytes);
  }

  Charsmap map_;
  std::array<std::optional<std::string_view>, 128> ascii_;
};

class LongestMatch final : public Normalizer {
 public:
  LongestMatch(std::string_view bytes, std::string_view where) : map_(bytes, where) {}
  void normalize(std::string& text) const override {
    std::string result;
    result.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      size_t length = 0;
      const auto found = map_.longest(std::string_view(text).substr(at), length);
      if (!found) length = next_code_point(text, at).bytes;
      result += found.value_or(std::string_view(text).substr(at, length));
      at += length;
    }
    text.swap(result);
  }

 private:
  Charsmap map_;
};

}  // namespace

std::unique_ptr<Normalizer> make_precompiled_normalizer(const nlohmann::json& content,
                                                        std::string_view where) {
  const std::string map = from_base64(text_field(content, "precompiled_charsmap", where), where);
  if (flag_field(content, "longest_match", false, where)) return std::make_unique<LongestMatch>(map, where);
  return std::make_unique<Precompiled>(map, where);
}

}  // namespace formwork
