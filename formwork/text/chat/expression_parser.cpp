#include "formwork/text/chat/expression_parser.h"

#include "formwork/core/error.h"

namespace formwork::chat {
namespace {

using TokenKind = Token::Kind;
using Node = Expression::Kind;

}  // namespace

Expr ExpressionParser::node(Node kind, std::string text) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = cursor_.now().line;
  made->text = std::move(text);
  return made;
}

Expr ExpressionParser::constant(Data data) const {
  Expr made = node(Node::constant);
  made->value = Value(std::move(data));
  return made;
}

void ExpressionParser::add(const Expr& parent, Expr child) {
  if (child) parent->depth = std::max(parent->depth, child->depth + 1);
  if (parent->depth > 4 * deepest)
    fail("chat template, line {}: an expression of more than {} parts in a row", parent->line, 4 * deepest);
  parent->parts.push_back(std::move(child));
}

Expr ExpressionParser::tuple_or_expression() {
  Expr first = expression();
  if (!cursor_.is_sign(",")) return first;
  Expr list = node(Node::list);
  add(list, std::move(first));
  while (cursor_.take_sign(",")) add(list, expression());
  return list;
}

Expr ExpressionParser::expression() {
  const TokenCursor::Deeper deeper(cursor_);
  Expr value = either();
  while (cursor_.is_name("if")) {
    Expr choice = node(Node::choice);
    cursor_.next();
    add(choice, either());
    add(choice, std::move(value));
    add(choice, cursor_.take_name("else") ? expression() : nullptr);
    value = std::move(choice);
  }
  return value;
}

Expr ExpressionParser::either() {
  Expr left = both();
  while (cursor_.is_name("or")) left = joined(Node::logical_or, std::move(left), &ExpressionParser::both);
  return left;
}

Expr ExpressionParser::both() {
  Expr left = inverted();
  while (cursor_.is_name("and"))
    left = joined(Node::logical_and, std::move(left), &ExpressionParser::inverted);
  return left;
}

Expr ExpressionParser::inverted() {
  const TokenCursor::Deeper deeper(cursor_);
  if (!cursor_.is_name("not")) return comparison();
  Expr made = node(Node::logical_not);
  cursor_.next();
  add(made, inverted());
  return made;
}

Expr ExpressionParser::joined(Node kind, Expr left, Expr (ExpressionParser::*right)()) {
  Expr made = node(kind, cursor_.now().text);
  cursor_.next();
  add(made, std::move(left));
  add(made, (this->*right)());
  return made;
}

Expr ExpressionParser::comparison() {
  Expr left = sum();
  Expr made;
  for (;;) {
    std::string sign;
    for (const char* each : {"==", "!=", "<=", ">=", "<", ">"})
      if (cursor_.is_sign(each)) sign = each;
    if (cursor_.is_name("in")) sign = "in";
    if (cursor_.is_name("not") && cursor_.ahead().kind == TokenKind::name && cursor_.ahead().text == "in") {
      sign = "not in";
      cursor_.next();
    }
    if (sign.empty()) return made ? std::move(made) : std::move(left);
    cursor_.next();
    if (!made) {
      made = node(Node::compare);
      add(made, std::move(left));
    }
    made->texts.push_back(sign);
    add(made, sum());
  }
}

Expr ExpressionParser::sum() {
  Expr left = concatenation();
  while (cursor_.is_sign("+") || cursor_.is_sign("-"))
    left = joined(Node::binary, std::move(left), &ExpressionParser::concatenation);
  return left;
}

Expr ExpressionParser::concatenation() {
  Expr left = product();
  while (cursor_.is_sign("~")) left = joined(Node::binary, std::move(left), &ExpressionParser::product);
  return left;
}

Expr ExpressionParser::product() {
  Expr left = power();
  while (cursor_.is_sign("*") || cursor_.is_sign("/") || cursor_.is_sign("//") || cursor_.is_sign("%"))
    left = joined(Node::binary, std::move(left), &ExpressionParser::power);
  return left;
}

Expr ExpressionParser::power() {
  Expr left = unary();
  while (cursor_.is_sign("**")) left = joined(Node::binary, std::move(left), &ExpressionParser::unary);
  return left;
}

Expr ExpressionParser::unary() {
  const TokenCursor::Deeper deeper(cursor_);
  if (cursor_.is_sign("-")) {
    Expr made = node(Node::negation);
    cursor_.next();
    add(made, unary());
    return made;
  }
  cursor_.take_sign("+");
  return filters(postfix(primary()));
}

Expr ExpressionParser::primary() {
  if (cursor_.now().kind == TokenKind::string) {
    std::string text;
    for (; cursor_.now().kind == TokenKind::string; cursor_.next()) text += cursor_.now().text;
    return constant(text);
  }
  if (cursor_.now().kind == TokenKind::integer || cursor_.now().kind == TokenKind::real) {
    Expr made = cursor_.now().kind == TokenKind::integer ? constant(std::stoll(cursor_.now().text))
                                                         : constant(std::stod(cursor_.now().text));
    cursor_.next();
    return made;
  }
  if (cursor_.take_name("true") || cursor_.take_name("True")) return constant(true);
  if (cursor_.take_name("false") || cursor_.take_name("False")) return constant(false);
  if (cursor_.take_name("none") || cursor_.take_name("None")) return constant(nullptr);
  if (cursor_.now().kind == TokenKind::name) {
    Expr made = node(Node::name, cursor_.now().text);
    cursor_.next();
    return made;
  }
  if (cursor_.take_sign("(")) return parentheses();
  if (cursor_.take_sign("[")) return list("]");
  if (cursor_.take_sign("{")) return dictionary();
  cursor_.unexpected("an expression");
}

Expr ExpressionParser::parentheses() {
  if (cursor_.take_sign(")")) return node(Node::list);
  Expr first = expression();
  if (cursor_.take_sign(")")) return first;
  Expr made = node(Node::list);
  add(made, std::move(first));
  while (cursor_.take_sign(",") && !cursor_.is_sign(")")) add(made, expression());
  cursor_.want_sign(")");
  return made;
}

Expr ExpressionParser::list(const char* close) {
  Expr made = node(Node::list);
  while (!cursor_.is_sign(close)) {
    add(made, expression());
    if (!cursor_.take_sign(",")) break;
  }
  cursor_.want_sign(close);
  return made;
}

Expr ExpressionParser::dictionary() {
  Expr made = node(Node::dictionary);
  while (!cursor_.is_sign("}")) {
    add(made, expression());
    cursor_.want_sign(":");
    add(made, expression());
    if (!cursor_.take_sign(",")) break;
  }
  cursor_.want_sign("}");
  return made;
}

Expr ExpressionParser::postfix(Expr value) {
  for (int count = 0;; ++count) {
    if (count > deepest) cursor_.unexpected("fewer attributes in a row");
    Expr made;
    if (cursor_.take_sign(".")) {
      made = node(Node::attribute, cursor_.now().text);
      cursor_.want_name("an attribute");
      add(made, std::move(value));
    } else if (cursor_.take_sign("[")) {
      made = subscript(std::move(value));
    } else if (cursor_.is_sign("(")) {
      made = node(Node::call);
      add(made, std::move(value));
      made->arguments = arguments();
    } else {
      return value;
    }
    value = std::move(made);
  }
}

Expr ExpressionParser::subscript(Expr value) {
  Expr made = node(Node::item);
  add(made, std::move(value));
  add(made, cursor_.is_sign(":") ? nullptr : expression());
  if (cursor_.is_sign(":")) made->kind = Node::slice;
  while (cursor_.take_sign(":"))
    add(made, cursor_.is_sign(":") || cursor_.is_sign("]") ? nullptr : expression());
  cursor_.want_sign("]");
  if (made->kind == Node::slice) made->parts.resize(4);
  return made;
}

std::vector<Argument> ExpressionParser::arguments() {
  std::vector<Argument> list;
  cursor_.want_sign("(");
  while (!cursor_.is_sign(")")) {
    Argument argument;
    if (cursor_.now().kind == TokenKind::name && cursor_.ahead().kind == TokenKind::sign &&
        cursor_.ahead().text == "=") {
      argument.name = cursor_.now().text;
      cursor_.next();
      cursor_.next();
    }
    argument.value = expression();
    list.push_back(std::move(argument));
    if (!cursor_.take_sign(",")) break;
  }
  cursor_.want_sign(")");
  return list;
}

Expr ExpressionParser::filters(Expr value) {
  for (int count = 0;; ++count) {
    if (count > deepest) cursor_.unexpected("fewer filters in a row");
    Expr made;
    if (cursor_.take_sign("|")) {
      made = node(Node::filter, cursor_.now().text);
      cursor_.want_name("a filter");
      if (cursor_.is_sign("(")) made->arguments = arguments();
    } else if (cursor_.take_name("is")) {
      made = node(Node::test);
      made->negated = cursor_.take_name("not");
      made->text = cursor_.want_name("a test");
      if (cursor_.is_sign("(")) {
        made->arguments = arguments();
      } else if (starts_value()) {
        Argument argument;
        argument.value = postfix(primary());
        made->arguments.push_back(std::move(argument));
      }
    } else {
      return value;
    }
    add(made, std::move(value));
    value = std::move(made);
  }
}

bool ExpressionParser::starts_value() const {
  if (cursor_.now().kind == TokenKind::string || cursor_.now().kind == TokenKind::integer ||
      cursor_.now().kind == TokenKind::real)
    return true;
  if (cursor_.now().kind == TokenKind::sign) return cursor_.now().text == "[" || cursor_.now().text == "{";
  if (cursor_.now().kind != TokenKind::name) return false;
  for (const char* word : {"and", "or", "not", "if", "else", "in", "is"})
    if (cursor_.now().text == word) return false;
  return true;
}

}  // namespace formwork::chat
