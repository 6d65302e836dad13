// Walks the tokens of a chat template; what both parsers share.
#pragma once
#include <string>
#include <vector>

#include "formwork/text/chat/lexer.h"

namespace formwork::chat {

constexpr int deepest = 100;  // levels that blocks and expressions may nest

class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void next() { at_ += at_ + 1 < tokens_.size(); }
  bool is_sign(const char* sign) const { return now().kind == Token::Kind::sign && now().text == sign; }
  bool is_name(const char* name) const { return now().kind == Token::Kind::name && now().text == name; }
  bool take_sign(const char* sign) { return is_sign(sign) && (next(), true); }
  bool take_name(const char* name) { return is_name(name) && (next(), true); }

  [[noreturn]] void unexpected(const char* expected) const;
  void want_sign(const char* sign);
  std::string want_name(const char* what);
  void want(Token::Kind kind, const char* what);

  // One level of nesting, while it lives.
  class Deeper {
   public:
    explicit Deeper(TokenCursor& cursor);
    ~Deeper() { --cursor_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    TokenCursor& cursor_;
  };

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace formwork::chat
