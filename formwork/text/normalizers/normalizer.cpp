#include "formwork/text/normalizers/normalizer.h"

#include <functional>

#include "formwork/core/error.h"
#include "formwork/text/by_type.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/normalizers/unicode_normalize.h"
#include "formwork/text/text_pattern.h"
#include "formwork/text/unicode/byte_level.h"
#include "formwork/text/unicode/unicode_classes.h"

namespace formwork {
namespace {

using nlohmann::json;
using MadeNormalizer = std::unique_ptr<Normalizer>;

class UnicodeFormNormalizer final : public Normalizer {
 public:
  explicit UnicodeFormNormalizer(UnicodeForm form) : form_(form) {}
  void normalize(std::string& text) const override {
    if (!is_ascii(text)) text = unicode_normalized(text, form_);
  }

 private:
  UnicodeForm form_;
};

// Writes each character anew: edit(result, code, bytes).
class PerCharacter final : public Normalizer {
 public:
  using Edit = void (*)(std::string& result, uint32_t code, std::string_view bytes);
  explicit PerCharacter(Edit edit) : edit_(edit) {}
  void normalize(std::string& text) const override {
    std::string result;
    result.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = next_code_point(text, at);
      edit_(result, point.code, std::string_view(text).substr(at, point.bytes));
      at += point.bytes;
    }
    text.swap(result);
  }

 private:
  Edit edit_;
};

void lower(std::string& result, uint32_t code, std::string_view bytes) {
  if (code < 0x80)
    result += code >= 'A' && code <= 'Z' ? static_cast<char>(code + 32) : bytes[0];
  else
    append_lower(result, code);
}

void without_accents(std::string& result, uint32_t code, std::string_view bytes) {
  if (!is_combining_mark(code)) result += bytes;
}

// The cleaning of neural machine translation models in SentencePiece.
void nmt(std::string& result, uint32_t code, std::string_view bytes) {
  const bool dropped = (code >= 1 && code <= 8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
                       code == 0x7F || code == 0x8F || code == 0x9F;
  const bool space = code == 9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
                     (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                     code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
  if (space)
    result += ' ';
  else if (!dropped)
    result += bytes;
}

void byte_level(std::string& result, uint32_t, std::string_view bytes) { result += to_byte_level(bytes); }

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(std::string& text) const override {
    size_t first = 0, last = text.size();
    while (left_ && first < last) {
      const CodePoint point = next_code_point(text, first);
      if (!is_space(point.code)) break;
      first += point.bytes;
    }
    while (right_ && last > first) {
      const size_t start = previous_start(text, last);
      if (!is_space(next_code_point(text, start).code)) break;
      last = start;
    }
    text = text.substr(first, last - first);
  }

 private:
  bool left_, right_;
};

class Replace final : public Normalizer {
 public:
  Replace(const json& content, std::string_view where)
      : pattern_(field(content, "pattern", where), where), content_(text_field(content, "content", where)) {}
  void normalize(std::string& text) const override { text = pattern_.replaced(text, content_); }

 private:
  TextPattern pattern_;
  std::string content_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string text) : prefix_(std::move(text)) {}
  void normalize(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<MadeNormalizer> parts) : parts_(std::move(parts)) {}
  void normalize(std::string& text) const override {
    for (const auto& part : parts_) part->normalize(text);
  }

 private:
  std::vector<MadeNormalizer> parts_;
};

MadeNormalizer make_normalizer_sequence(const json& content, std::string_view where, int depth) {
  std::vector<MadeNormalizer> parts;
  for (const json& part : list_field(content, "normalizers", where))
    parts.push_back(make_normalizer(part, where, depth + 1));
  return std::make_unique<NormalizerSequence>(std::move(parts));
}

MadeNormalizer form(UnicodeForm value) { return std::make_unique<UnicodeFormNormalizer>(value); }
MadeNormalizer edit(PerCharacter::Edit value) { return std::make_unique<PerCharacter>(value); }

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const json& content, std::string_view where, int depth) {
  constexpr int deepest = 8;
  if (depth > deepest) fail("{}: normalizers are nested more than {} deep", where, deepest);
  const std::map<std::string, std::function<MadeNormalizer()>> types = {
      {"NFC", [] { return form(UnicodeForm::nfc); }},
      {"NFD", [] { return form(UnicodeForm::nfd); }},
      {"NFKC", [] { return form(UnicodeForm::nfkc); }},
      {"NFKD", [] { return form(UnicodeForm::nfkd); }},
      {"Lowercase", [] { return edit(lower); }},
      {"StripAccents", [] { return edit(without_accents); }},
      {"Nmt", [] { return edit(nmt); }},
      {"ByteLevel", [] { return edit(byte_level); }},
      {"Strip",
       [&] {
         return std::make_unique<Strip>(flag_field(content, "strip_left", true, where),
                                        flag_field(content, "strip_right", true, where));
       }},
      {"Replace", [&] { return std::make_unique<Replace>(content, where); }},
      {"Prepend", [&] { return std::make_unique<Prepend>(text_field(content, "prepend", where)); }},
      {"BertNormalizer", [&] { return make_bert_normalizer(content, where); }},
      {"Precompiled", [&] { return make_precompiled_normalizer(content, where); }},
      {"Sequence", [&] { return make_normalizer_sequence(content, where, depth); }},
  };
  return make_by_type(types, "normalizer", content, where);
}

}  // namespace formwork
