#include "formwork/text/chat/token_cursor.h"

#include "formwork/core/error.h"

namespace formwork::chat {

void TokenCursor::unexpected(const char* expected) const {
  const std::string found = now().kind == Token::Kind::end ? "the end"
                            : now().text.empty()           ? "the end of a tag"
                                                           : "'" + now().text + "'";
  fail("chat template, line {}: expected {}, found {}", now().line, expected, found);
}

void TokenCursor::want_sign(const char* sign) {
  if (!take_sign(sign)) unexpected(sign);
}

std::string TokenCursor::want_name(const char* what) {
  if (now().kind != Token::Kind::name) unexpected(what);
  std::string name = now().text;
  next();
  return name;
}

void TokenCursor::want(Token::Kind kind, const char* what) {
  if (now().kind != kind) unexpected(what);
  next();
}

TokenCursor::Deeper::Deeper(TokenCursor& cursor) : cursor_(cursor) {
  if (++cursor.depth_ > deepest)
    fail("chat template, line {}: nested more than {} deep", cursor.now().line, deepest);
}

}  // namespace formwork::chat
