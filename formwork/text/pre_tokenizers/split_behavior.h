// What becomes of the matches at which a text is cut.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "formwork/text/pre_tokenizers/pre_tokenizer.h"

namespace formwork {

enum class SplitBehavior { removed, isolated, contiguous, merged_with_previous, merged_with_next };

SplitBehavior split_behavior(const nlohmann::json& name, std::string_view where);

struct TextPart {
  size_t first, last;
  bool is_match;
};

// Collects matches, in order, and what lies between them.
class TextParts {
 public:
  explicit TextParts(std::string_view text, bool invert = false) : text_(text), invert_(invert) {}
  void match(size_t first, size_t last) {
    if (first > done_) parts_.push_back({done_, first, invert_});
    if (last > first) parts_.push_back({first, last, !invert_});
    done_ = last;
  }
  // Gives the words to `out` after the last match.
  void emit(SplitBehavior behavior, bool first, WordSink& out);

 private:
  std::string_view text_;
  bool invert_;
  size_t done_ = 0;
  std::vector<TextPart> parts_;
};

}  // namespace formwork
