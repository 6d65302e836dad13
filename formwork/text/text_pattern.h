// A `pattern` of tokenizer.json: {"String": text} or {"Regex": expression}.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "formwork/text/regex.h"

namespace formwork {

class TextPattern {
 public:
  TextPattern(const nlohmann::json& content, std::string_view where);

  const std::string& text() const { return text_; }  // as the file has it
  bool is_regex() const { return regex_.has_value(); }

  // Matches of one or more bytes, in order, as [first, last).
  template <class Visit>
  void for_each(std::string_view subject, Visit&& visit) const {
    if (regex_) return regex_->for_each(subject, visit);
    for (size_t at = subject.find(text_); at != std::string_view::npos;
         at = subject.find(text_, at + text_.size()))
      visit(at, at + text_.size());
  }

  std::string replaced(std::string_view subject, std::string_view content) const;

 private:
  std::string text_;
  std::optional<Regex> regex_;
};

}  // namespace formwork
