// Parses the expressions of a chat template, with Jinja's precedence: from `or`, which binds least,
// through comparisons and sums to filters and tests.
#pragma once
#include "formwork/text/chat/syntax.h"
#include "formwork/text/chat/token_cursor.h"

namespace formwork::chat {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenCursor& cursor) : cursor_(cursor) {}

  Expr tuple_or_expression();
  Expr expression();
  Expr either();

 private:
  Expr node(Expression::Kind kind, std::string text = "") const;
  Expr constant(Data data) const;
  // Long chains (a + b + c + ...) are deep trees too.
  static void add(const Expr& parent, Expr child);
  Expr both();
  Expr inverted();
  // left SIGN right, where the current token is SIGN.
  Expr joined(Expression::Kind kind, Expr left, Expr (ExpressionParser::*right)());
  Expr comparison();
  Expr sum();
  Expr concatenation();
  Expr product();
  Expr power();
  Expr unary();
  Expr primary();
  Expr parentheses();
  Expr list(const char* close);
  Expr dictionary();
  Expr postfix(Expr value);
  Expr subscript(Expr value);
  std::vector<Argument> arguments();
  Expr filters(Expr value);
  // Whether a test's single argument follows without parentheses.
  bool starts_value() const;

  TokenCursor& cursor_;
};

}  // namespace formwork::chat
