#include "formwork/text/pre_tokenizers/split_behavior.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"

namespace formwork {
namespace {

// Joins `parts` in place: a part is added to the one before it when joins(before, part).
template <class Joins>
void join_with_previous(std::vector<TextPart>& parts, Joins&& joins) {
  std::vector<TextPart> joined;
  bool previous_match = false;
  for (const TextPart& part : parts) {
    if (!joined.empty() && joins(previous_match, part.is_match))
      joined.back().last = part.last;
    else
      joined.push_back(part);
    previous_match = part.is_match;
  }
  parts.swap(joined);
}

void join_with_next(std::vector<TextPart>& parts) {
  std::vector<TextPart> joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool joins = parts[i].is_match && i + 1 < parts.size() && !parts[i + 1].is_match;
    joined.push_back(parts[i]);
    if (joins) joined.back().last = parts[++i].last;
  }
  parts.swap(joined);
}

}  // namespace

SplitBehavior split_behavior(const nlohmann::json& name, std::string_view where) {
  const std::vector<std::string> names = {"Removed", "Isolated", "Contiguous", "MergedWithPrevious",
                                          "MergedWithNext"};
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<SplitBehavior>(i);
  fail("{}: expected a behavior of {}, found {}", where, fmt::join(names, ", "), shown(name));
}

void TextParts::emit(SplitBehavior behavior, bool first, WordSink& out) {
  if (done_ < text_.size()) parts_.push_back({done_, text_.size(), invert_});
  if (behavior == SplitBehavior::contiguous)
    join_with_previous(parts_, [](bool previous, bool now) { return previous == now; });
  else if (behavior == SplitBehavior::merged_with_previous)
    join_with_previous(parts_, [](bool previous, bool now) { return now && !previous; });
  else if (behavior == SplitBehavior::merged_with_next)
    join_with_next(parts_);
  for (const TextPart& part : parts_)
    if (!(behavior == SplitBehavior::removed && part.is_match))
      out.word(text_.substr(part.first, part.last - part.first), first && part.first == 0);
}

}  // namespace formwork
