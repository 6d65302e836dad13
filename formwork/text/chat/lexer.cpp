#include "formwork/text/chat/lexer.h"

#include <algorithm>

#include "formwork/core/error.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork::chat {
namespace {

using TokenKind = Token::Kind;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_white(char c) { return is_blank(c) || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = next_tag();
      std::string text = source_.substr(at_, tag - at_);
      if (tag == source_.size()) {
        add_text(text);
        break;
      }
      const char kind = source_[tag + 1], sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      if (sign == '-')
        strip_end(text);
      else if (kind != '{' && sign != '+')
        strip_line(text, tag - text.size());
      add_text(text);
      count_lines(at_, tag);
      at_ = tag + 2;
      if (sign == '-' || (sign == '+' && kind != '{')) ++at_;
      if (kind == '#')
        skip_comment();
      else
        read_tag(kind == '{');
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  size_t next_tag() const {
    for (size_t at = source_.find('{', at_); at != std::string::npos; at = source_.find('{', at + 1))
      if (at + 1 < source_.size() && std::string_view("{%#").find(source_[at + 1]) != std::string_view::npos)
        return at;
    return source_.size();
  }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void add_text(const std::string& text) {
    if (!text.empty()) add(TokenKind::text, text);
  }
  void count_lines(size_t from, size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(from),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
  }

  static void strip_end(std::string& text) {
    while (!text.empty() && is_white(text.back())) text.pop_back();
  }
  // Blanks between the start of a line and a block are not part of the text.
  void strip_line(std::string& text, size_t start) const {
    size_t kept = text.size();
    while (kept > 0 && is_blank(text[kept - 1])) --kept;
    const bool line_starts = kept > 0 ? text[kept - 1] == '\n' : start == 0 || source_[start - 1] == '\n';
    if (line_starts) text.resize(kept);
  }

  // After a tag: "-" removes all white space, a block alone its line end.
  void after_tag(char sign, bool block) {
    if (sign == '-') {
      while (at_ < source_.size() && is_white(source_[at_])) line_ += source_[at_++] == '\n';
    } else if (block && sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
      ++line_;
    }
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail("chat template, line {}: a comment does not end", line_);
    count_lines(at_, end);
    const char sign = end > at_ ? source_[end - 1] : ' ';
    at_ = end + 2;
    after_tag(sign, true);
  }

  void read_tag(bool output) {
    add(output ? TokenKind::output_begin : TokenKind::block_begin, "");
    const std::string close = output ? "}}" : "%}";
    int depth = 0;  // of braces: "}}" may also close two dictionaries
    for (;;) {
      while (at_ < source_.size() && is_white(source_[at_])) line_ += source_[at_++] == '\n';
      if (at_ >= source_.size()) fail("chat template, line {}: expected {}, found the end", line_, close);
      const char c = source_[at_];
      const bool signed_close = (c == '-' || c == '+') && source_.compare(at_ + 1, 2, close) == 0;
      if (signed_close || (depth == 0 && source_.compare(at_, 2, close) == 0)) {
        at_ += signed_close ? 3 : 2;
        add(output ? TokenKind::output_end : TokenKind::block_end, "");
        return after_tag(signed_close ? c : ' ', !output);
      }
      if (c == '{') ++depth;
      if (c == '}') --depth;
      read_token(c);
    }
  }

  void read_token(char c) {
    const size_t start = at_;
    if (is_letter(c)) {
      while (at_ < source_.size() && (is_letter(source_[at_]) || is_digit(source_[at_]))) ++at_;
      return add(TokenKind::name, source_.substr(start, at_ - start));
    }
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string(c);
    for (const char* sign : {"==", "!=", "<=", ">=", "//", "**"})
      if (source_.compare(at_, 2, sign) == 0) {
        at_ += 2;
        return add(TokenKind::sign, sign);
      }
    if (std::string_view("+-*/%~<>=()[]{}.,:|").find(c) == std::string_view::npos)
      fail("chat template, line {}: expected an expression, found '{}'", line_,
           utf8_replaced(source_.substr(at_, 1)));
    ++at_;
    add(TokenKind::sign, std::string(1, c));
  }

  void read_number() {
    const size_t start = at_;
    const auto digits = [&] {
      while (at_ < source_.size() && is_digit(source_[at_])) ++at_;
    };
    digits();
    const bool real = at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1]);
    if (real) {
      ++at_;
      digits();
    }
    if (at_ - start > 18) fail("chat template, line {}: a number has too many digits", line_);
    add(real ? TokenKind::real : TokenKind::integer, source_.substr(start, at_ - start));
  }

  void read_string(char quote) {
    std::string text;
    const int line = line_;
    for (++at_; at_ < source_.size() && source_[at_] != quote; ++at_) {
      line_ += source_[at_] == '\n';
      if (source_[at_] == '\\' && at_ + 1 < source_.size())
        escape(text);
      else
        text += source_[at_];
    }
    if (at_ >= source_.size()) fail("chat template, line {}: a text in quotes does not end", line);
    ++at_;
    add(TokenKind::string, std::move(text));
  }

  void escape(std::string& text) {
    const char c = source_[++at_];
    const size_t simple = std::string_view("ntr\\'\"bf").find(c);
    if (simple != std::string_view::npos) {
      text += "\n\t\r\\'\"\b\f"[simple];
    } else if (c == 'u' || c == 'x') {
      const size_t digits = c == 'u' ? 4 : 2;
      const std::string hex = source_.substr(at_ + 1, digits);
      if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        fail("chat template, line {}: expected {} hexadecimal digits after \\{}", line_, digits, c);
      append_utf8(text, static_cast<uint32_t>(std::stoul(hex, nullptr, 16)));
      at_ += digits;
    } else if (c != '\n') {
      text += '\\';
      text += c;
    }
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source) {
  std::string text = utf8_replaced(source);
  for (size_t at = text.find("\r\n"); at != std::string::npos; at = text.find("\r\n", at)) text.erase(at, 1);
  if (text.ends_with('\n')) text.pop_back();
  return Lexer(std::move(text)).run();
}

}  // namespace formwork::chat
