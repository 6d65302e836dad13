#include "formwork/text/text_pattern.h"

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"

namespace formwork {

TextPattern::TextPattern(const nlohmann::json& content, std::string_view where) {
  if (content.is_object() && content.contains("Regex")) {
    text_ = text_field(content, "Regex", where);
    regex_.emplace(text_, where);
  } else if (content.is_object() && content.contains("String")) {
    text_ = text_field(content, "String", where);
    if (text_.empty()) fail("{}: expected a pattern with text, found an empty one", where);
  } else {
    fail("{}: expected a pattern with a String or a Regex, found {}", where, shown(content));
  }
}

std::string TextPattern::replaced(std::string_view subject, std::string_view content) const {
  std::string result;
  size_t done = 0;
  for_each(subject, [&](size_t first, size_t last) {
    result.append(subject.substr(done, first - done)).append(content);
    done = last;
  });
  return result.append(subject.substr(done));
}

}  // namespace formwork
