// Pre-tokenizers that cut at single characters: Digits, Punctuation, CharDelimiterSplit, Whitespace,
// WhitespaceSplit, BertPreTokenizer.
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/pre_tokenizers/split_behavior.h"
#include "formwork/text/unicode/unicode_classes.h"

namespace formwork {
namespace {

using MadePreTokenizer = std::unique_ptr<PreTokenizer>;
using Test = bool (*)(uint32_t code);

// Every character that `test` takes is a match of its own.
class CutAtCharacters final : public PreTokenizer {
 public:
  CutAtCharacters(Test test, SplitBehavior behavior) : test_(test), behavior_(behavior) {}
  void split(std::string_view text, bool first, WordSink& out) const override {
    TextParts parts(text);
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = next_code_point(text, at);
      if (test_(point.code)) parts.match(at, at + point.bytes);
      at += point.bytes;
    }
    parts.emit(behavior_, first, out);
  }
  bool keeps_bytes() const override { return behavior_ != SplitBehavior::removed; }

 private:
  Test test_;
  SplitBehavior behavior_;
};

class DelimiterSplit final : public PreTokenizer {
 public:
  explicit DelimiterSplit(std::string delimiter) : delimiter_(std::move(delimiter)) {}
  void split(std::string_view text, bool first, WordSink& out) const override {
    TextParts parts(text);
    for (size_t at = text.find(delimiter_); at != std::string_view::npos;
         at = text.find(delimiter_, at + delimiter_.size()))
      parts.match(at, at + delimiter_.size());
    parts.emit(SplitBehavior::removed, first, out);
  }

 private:
  std::string delimiter_;
};

enum class Kind { space, word, mark, alone };

// Runs of one kind are words, spaces vanish, and characters of kind `alone` stand alone.
template <Kind (*kind_of)(uint32_t code)>
class Runs final : public PreTokenizer {
 public:
  void split(std::string_view text, bool first, WordSink& out) const override {
    size_t start = 0;
    Kind running = Kind::space;
    const auto flush = [&](size_t end) {
      if (running != Kind::space && end > start)
        out.word(text.substr(start, end - start), first && start == 0);
      start = end;
    };
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = next_code_point(text, at);
      const Kind kind = kind_of(point.code);
      if (kind != running || kind == Kind::alone) {
        flush(at);
        running = kind;
      }
      at += point.bytes;
    }
    flush(text.size());
  }
};

Kind bert_kind(uint32_t code) {
  if (is_space(code)) return Kind::space;
  return is_punctuation(code) ? Kind::alone : Kind::word;
}

Kind whitespace_kind(uint32_t code) {
  if (is_word(code)) return Kind::word;
  return is_space(code) ? Kind::space : Kind::mark;
}

Kind split_kind(uint32_t code) { return is_space(code) ? Kind::space : Kind::word; }

}  // namespace

MadePreTokenizer make_digits(const nlohmann::json& content, std::string_view where) {
  const bool each = flag_field(content, "individual_digits", false, where);
  return std::make_unique<CutAtCharacters>(is_numeric,
                                           each ? SplitBehavior::isolated : SplitBehavior::contiguous);
}

MadePreTokenizer make_punctuation(const nlohmann::json& content, std::string_view where) {
  const auto behavior =
      content.contains("behavior") ? split_behavior(content["behavior"], where) : SplitBehavior::isolated;
  return std::make_unique<CutAtCharacters>(is_punctuation, behavior);
}

MadePreTokenizer make_delimiter(const nlohmann::json& content, std::string_view where) {
  std::string delimiter = text_field(content, "delimiter", where);
  if (delimiter.empty()) fail("{}: expected a delimiter of one character, found none", where);
  return std::make_unique<DelimiterSplit>(std::move(delimiter));
}

MadePreTokenizer make_whitespace() { return std::make_unique<Runs<whitespace_kind>>(); }
MadePreTokenizer make_whitespace_split() { return std::make_unique<Runs<split_kind>>(); }
MadePreTokenizer make_bert_pre_tokenizer() { return std::make_unique<Runs<bert_kind>>(); }

}  // namespace formwork
