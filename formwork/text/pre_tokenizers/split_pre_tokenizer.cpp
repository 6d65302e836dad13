// Split: cuts at every match of a text or a regular expression.
#include <nlohmann/json.hpp>

#include "formwork/text/json_fields.h"
#include "formwork/text/pre_tokenizers/split_behavior.h"
#include "formwork/text/pre_tokenizers/word_split.h"
#include "formwork/text/text_pattern.h"

namespace formwork {
namespace {

class Split final : public PreTokenizer {
 public:
  Split(TextPattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, bool first, WordSink& out) const override {
    TextParts parts(text, invert_);
    pattern_.for_each(text, [&](size_t begin, size_t end) { parts.match(begin, end); });
    parts.emit(behavior_, first, out);
  }

 private:
  TextPattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// A known pattern matches everything, so what its matches are called makes no difference.
class KnownSplit final : public PreTokenizer {
 public:
  explicit KnownSplit(WordPattern pattern) : pattern_(pattern) {}
  void split(std::string_view text, bool first, WordSink& out) const override {
    for_each_word(pattern_, text,
                  [&](std::string_view word) { out.word(word, first && word.data() == text.data()); });
  }
  bool keeps_bytes() const override { return true; }

 private:
  WordPattern pattern_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_split(const nlohmann::json& content, std::string_view where) {
  TextPattern pattern(field(content, "pattern", where), where);
  const SplitBehavior behavior = split_behavior(field(content, "behavior", where), where);
  const bool invert = flag_field(content, "invert", false, where);
  // Matches that are all removed leave nothing; matches of an inverted pattern are what is between, nothing.
  const bool keeps_matches =
      (behavior == SplitBehavior::isolated) || (behavior == SplitBehavior::removed && invert);
  if (const auto known = known_pattern(pattern.text()); known && pattern.is_regex() && keeps_matches)
    return std::make_unique<KnownSplit>(*known);
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

}  // namespace formwork
