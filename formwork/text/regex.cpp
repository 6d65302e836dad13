#include "formwork/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "formwork/core/error.h"
#include "formwork/text/unicode/unicode_tables.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

constexpr std::string_view white_space =
    "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
    "\\x{3000}";

// The members of a class escape at pattern[at] that PCRE2 understands otherwise; `length` is the escape's.
std::string members(std::string_view rest, size_t& length) {
  const struct {
    std::string_view escape;
    UnicodeTable newer;
  } properties[] = {{"\\p{L}", UnicodeTable::newer_letters},
                    {"\\p{N}", UnicodeTable::newer_numbers},
                    {"\\p{M}", UnicodeTable::newer_marks}};
  for (const auto& property : properties) {
    if (!rest.starts_with(property.escape)) continue;
    length = property.escape.size();
    return std::string(property.escape) + regex_ranges(property.newer);
  }
  if (rest.starts_with("\\s") || rest.starts_with("\\S")) {
    length = 2;
    return std::string(white_space);
  }
  length = 0;
  return "";
}

std::string rewritten(std::string_view pattern) {
  std::string result;
  bool in_class = false;
  for (size_t at = 0; at < pattern.size();) {
    size_t length = 0;
    const std::string set = pattern[at] == '\\' ? members(pattern.substr(at), length) : "";
    const bool negated = length > 0 && pattern[at + 1] == 'S';
    if (length > 0 && !(negated && in_class)) {
      result += in_class ? set : (negated ? "[^" : "[") + set + "]";
      at += length;
      continue;
    }
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      result += pattern[at++];
    } else if (pattern[at] == '[' && !in_class) {
      in_class = true;
    } else if (pattern[at] == ']' && in_class) {
      in_class = false;
    }
    result += pattern[at++];
  }
  return result;
}

}  // namespace

struct Regex::Code {
  pcre2_code* compiled = nullptr;
  pcre2_match_context* context = nullptr;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(compiled);
  }
};

Regex::Regex(std::string_view pattern, std::string_view where) : code_(std::make_unique<Code>()) {
  constexpr size_t longest = 1 << 16;
  if (pattern.empty() || pattern.size() > longest)
    fail("{}: expected a regular expression of 1 to {} bytes, found {}", where, longest, pattern.size());
  const std::string text = rewritten(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
  if (!code_->compiled) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(error, message, sizeof(message));
    fail("{}: the regular expression '{}' is wrong: {}", where, utf8_replaced(pattern),
         reinterpret_cast<const char*>(message));
  }
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);  // without it, matching is only slower
  code_->context = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(code_->context, 10'000'000);
}

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex::Search::Search(const Regex& regex, std::string_view text)
    : regex_(regex),
      text_(text),
      match_(pcre2_match_data_create_from_pattern(regex.code_->compiled, nullptr)) {}

Regex::Search::~Search() { pcre2_match_data_free(static_cast<pcre2_match_data*>(match_)); }

bool Regex::Search::next(std::pair<size_t, size_t>& found) {
  auto* match = static_cast<pcre2_match_data*>(match_);
  while (at_ < text_.size()) {
    const int count = pcre2_match(regex_.code_->compiled, reinterpret_cast<PCRE2_SPTR>(text_.data()),
                                  text_.size(), at_, PCRE2_NO_UTF_CHECK, match, regex_.code_->context);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) fail("a regular expression of the tokenizer gave up on a text of {} bytes", text_.size());
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match);
    found = {ends[0], ends[1]};
    if (found.second > found.first) {
      at_ = found.second;
      return true;
    }
    if (found.first >= text_.size()) break;
    at_ = found.first + static_cast<size_t>(next_code_point(text_, found.first).bytes);
  }
  at_ = text_.size();
  return false;
}

std::string regex_escape(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\^$.[]|()?*+{}-#&~ \t\n\r").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace formwork
