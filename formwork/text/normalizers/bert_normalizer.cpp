// BertNormalizer: control characters removed, white space made blanks, ideographs set apart, accents
// removed, letters made small (BERT: Pre-training of Deep Bidirectional Transformers, 2019).
#include <nlohmann/json.hpp>

#include "formwork/text/json_fields.h"
#include "formwork/text/normalizers/normalizer.h"
#include "formwork/text/normalizers/unicode_normalize.h"
#include "formwork/text/unicode/unicode_classes.h"

namespace formwork {
namespace {

struct BertOptions {
  bool clean, chinese, accents, lower;
};

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(BertOptions options) : options_(options) {}

  void normalize(std::string& text) const override {
    std::string result;
    result.reserve(text.size());
    if (is_ascii(text)) {
      for (const char c : text) add_ascii(result, c);
      return text.swap(result);
    }
    if (options_.clean || options_.chinese) {
      each(text, [&](uint32_t code, std::string_view bytes) { add_clean(result, code, bytes); });
      text.swap(result);
    }
    if (options_.accents) text = unicode_normalized(text, UnicodeForm::nfd);
    if (!options_.accents && !options_.lower) return;
    result.clear();
    each(text, [&](uint32_t code, std::string_view bytes) {
      if (options_.accents && is_nonspacing_mark(code)) return;
      if (options_.lower)
        append_lower(result, code);
      else
        result += bytes;
    });
    text.swap(result);
  }

 private:
  template <class Visit>
  static void each(std::string_view text, Visit&& visit) {
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = next_code_point(text, at);
      visit(point.code, text.substr(at, point.bytes));
      at += point.bytes;
    }
  }

  void add_ascii(std::string& result, char c) const {
    if (options_.clean) {
      if (c == '\t' || c == '\n' || c == '\r') c = ' ';
      if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) return;
    }
    result += options_.lower && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }

  void add_clean(std::string& result, uint32_t code, std::string_view bytes) const {
    if (code < 0x80 && code >= 0x20 && code < 0x7F) {
      result += bytes;
      return;
    }
    if (options_.clean) {
      if (code == 0 || code == 0xFFFD || is_control(code)) return;
      if (is_space(code)) {
        result += ' ';
        return;
      }
    }
    if (options_.chinese && is_chinese(code))
      result.append(" ").append(bytes).append(" ");
    else
      result += bytes;
  }

  BertOptions options_;
};

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(const nlohmann::json& content, std::string_view where) {
  BertOptions options{};
  options.clean = flag_field(content, "clean_text", true, where);
  options.chinese = flag_field(content, "handle_chinese_chars", true, where);
  options.lower = flag_field(content, "lowercase", true, where);
  options.accents = flag_field(content, "strip_accents", options.lower, where);
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace formwork
