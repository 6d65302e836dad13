#include "formwork/core/error.h"
#include "formwork/text/chat_template_lexer.h"
#include "formwork/text/chat_template_syntax.h"

namespace formwork::chat {
namespace {

using Kind = Token::Kind;
using Node = Expression::Kind;

constexpr int deepest = 100;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::vector<Statement> all() {
    std::vector<Statement> body = statements({});
    if (now().kind != Kind::end) unexpected("a tag");
    return body;
  }

 private:
  // -- tokens
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void next() { at_ += at_ + 1 < tokens_.size(); }
  bool is_sign(const char* sign) const { return now().kind == Kind::sign && now().text == sign; }
  bool is_name(const char* name) const { return now().kind == Kind::name && now().text == name; }
  bool take_sign(const char* sign) { return is_sign(sign) && (next(), true); }
  bool take_name(const char* name) { return is_name(name) && (next(), true); }
  [[noreturn]] void unexpected(const char* expected) const {
    const std::string found = now().kind == Kind::end ? "the end"
                              : now().text.empty()    ? "the end of a tag"
                                                      : "'" + now().text + "'";
    fail("chat template, line {}: expected {}, found {}", now().line, expected, found);
  }
  void want_sign(const char* sign) {
    if (!take_sign(sign)) unexpected(sign);
  }
  std::string want_name(const char* what) {
    if (now().kind != Kind::name) unexpected(what);
    std::string name = now().text;
    next();
    return name;
  }
  void want(Kind kind, const char* what) {
    if (now().kind != kind) unexpected(what);
    next();
  }
  void end_block() { want(Kind::block_end, "%}"); }

  struct Deeper {
    explicit Deeper(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > deepest)
        fail("chat template, line {}: nested more than {} deep", parser_.now().line, deepest);
    }
    ~Deeper() { --parser_.depth_; }
    Parser& parser_;
  };

  // -- statements, up to a block that begins with one of `ends` (its name is then the current token)
  std::vector<Statement> statements(const std::vector<std::string>& ends) {
    const Deeper deeper(*this);
    std::vector<Statement> body;
    for (;;) {
      if (now().kind == Kind::text) {
        body.push_back(make(Statement::Kind::text));
        body.back().text = now().text;
        next();
      } else if (now().kind == Kind::output_begin) {
        next();
        body.push_back(make(Statement::Kind::output));
        body.back().value = tuple_or_expression();
        want(Kind::output_end, "}}");
      } else if (now().kind == Kind::block_begin) {
        next();
        for (const std::string& end : ends)
          if (is_name(end.c_str())) return body;
        body.push_back(block());
      } else {
        if (!ends.empty())
          fail("chat template, line {}: expected {}, found the end", now().line, ends.back());
        return body;
      }
    }
  }

  Statement make(Statement::Kind kind) const {
    Statement statement;
    statement.kind = kind;
    statement.line = now().line;
    return statement;
  }

  Statement block() {
    if (take_name("if")) return if_block();
    if (take_name("for")) return for_block();
    if (take_name("set")) return set_block();
    if (take_name("macro")) return macro_block();
    if (take_name("generation")) return plain_block("endgeneration");
    if (take_name("break")) return leaf(Statement::Kind::break_loop);
    if (take_name("continue")) return leaf(Statement::Kind::continue_loop);
    unexpected("if, for, set, macro, break, continue or generation");
  }

  Statement leaf(Statement::Kind kind) {
    Statement statement = make(kind);
    end_block();
    return statement;
  }

  Statement plain_block(const char* end) {
    Statement statement = make(Statement::Kind::block);
    end_block();
    statement.body = statements({end});
    next();
    end_block();
    return statement;
  }

  Statement if_block() {
    Statement statement = make(Statement::Kind::choice);
    Expr condition = tuple_or_expression();
    for (;;) {
      end_block();
      statement.branches.push_back({std::move(condition), statements({"elif", "else", "endif"})});
      if (take_name("elif")) {
        condition = tuple_or_expression();
      } else if (take_name("else")) {
        condition = nullptr;
      } else {
        next();
        end_block();
        return statement;
      }
    }
  }

  std::vector<std::string> targets() {
    std::vector<std::string> names;
    const bool closed = take_sign("(");
    do names.push_back(want_name("a name"));
    while (take_sign(","));
    if (closed) want_sign(")");
    return names;
  }

  Statement for_block() {
    Statement statement = make(Statement::Kind::loop);
    statement.names = targets();
    if (!take_name("in")) unexpected("in");
    statement.value = either();  // without "x if y", which would take the loop's own if
    if (take_name("if")) statement.condition = expression();
    end_block();
    statement.body = statements({"else", "endfor"});
    if (take_name("else")) {
      end_block();
      statement.branches.push_back({nullptr, statements({"endfor"})});
    }
    next();
    end_block();
    return statement;
  }

  Statement set_block() {
    Statement statement = make(Statement::Kind::set);
    statement.names = targets();
    if (take_sign(".")) statement.attribute = want_name("an attribute");
    if (take_sign("=")) {
      statement.value = tuple_or_expression();
      end_block();
      return statement;
    }
    statement.kind = Statement::Kind::set_block;
    end_block();
    statement.body = statements({"endset"});
    next();
    end_block();
    return statement;
  }

  Statement macro_block() {
    Statement statement = make(Statement::Kind::macro);
    statement.text = want_name("a macro's name");
    want_sign("(");
    while (!is_sign(")")) {
      statement.names.push_back(want_name("a parameter"));
      statement.defaults.push_back(take_sign("=") ? expression() : nullptr);
      if (!take_sign(",")) break;
    }
    want_sign(")");
    end_block();
    statement.body = statements({"endmacro"});
    next();
    if (now().kind == Kind::name) next();
    end_block();
    return statement;
  }

  // -- expressions
  Expr node(Node kind, std::string text = "") const {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->line = now().line;
    made->text = std::move(text);
    return made;
  }
  Expr constant(Data data) const {
    Expr made = node(Node::constant);
    made->value = Value(std::move(data));
    return made;
  }
  // Long chains (a + b + c + ...) are deep trees too.
  static void add(const Expr& parent, Expr child) {
    if (child) parent->depth = std::max(parent->depth, child->depth + 1);
    if (parent->depth > 4 * deepest)
      fail("chat template, line {}: an expression of more than {} parts in a row", parent->line, 4 * deepest);
    parent->parts.push_back(std::move(child));
  }

  Expr tuple_or_expression() {
    Expr first = expression();
    if (!is_sign(",")) return first;
    Expr list = node(Node::list);
    add(list, std::move(first));
    while (take_sign(",")) add(list, expression());
    return list;
  }

  Expr expression() {
    const Deeper deeper(*this);
    Expr value = either();
    while (is_name("if")) {
      Expr choice = node(Node::choice);
      next();
      add(choice, either());
      add(choice, std::move(value));
      add(choice, take_name("else") ? expression() : nullptr);
      value = std::move(choice);
    }
    return value;
  }

  Expr either() {
    Expr left = both();
    while (is_name("or")) left = joined(Node::logical_or, std::move(left), &Parser::both);
    return left;
  }
  Expr both() {
    Expr left = inverted();
    while (is_name("and")) left = joined(Node::logical_and, std::move(left), &Parser::inverted);
    return left;
  }
  Expr inverted() {
    const Deeper deeper(*this);
    if (!is_name("not")) return comparison();
    Expr made = node(Node::logical_not);
    next();
    add(made, inverted());
    return made;
  }
  // left SIGN right, where the current token is SIGN.
  Expr joined(Node kind, Expr left, Expr (Parser::*right)()) {
    Expr made = node(kind, now().text);
    next();
    add(made, std::move(left));
    add(made, (this->*right)());
    return made;
  }

  Expr comparison() {
    Expr left = sum();
    Expr made;
    for (;;) {
      std::string sign;
      for (const char* each : {"==", "!=", "<=", ">=", "<", ">"})
        if (is_sign(each)) sign = each;
      if (is_name("in")) sign = "in";
      if (is_name("not") && ahead().kind == Kind::name && ahead().text == "in") {
        sign = "not in";
        next();
      }
      if (sign.empty()) return made ? std::move(made) : std::move(left);
      next();
      if (!made) {
        made = node(Node::compare);
        add(made, std::move(left));
      }
      made->texts.push_back(sign);
      add(made, sum());
    }
  }
  Expr sum() {
    Expr left = concatenation();
    while (is_sign("+") || is_sign("-")) left = joined(Node::binary, std::move(left), &Parser::concatenation);
    return left;
  }
  Expr concatenation() {
    Expr left = product();
    while (is_sign("~")) left = joined(Node::binary, std::move(left), &Parser::product);
    return left;
  }
  Expr product() {
    Expr left = power();
    while (is_sign("*") || is_sign("/") || is_sign("//") || is_sign("%"))
      left = joined(Node::binary, std::move(left), &Parser::power);
    return left;
  }
  Expr power() {
    Expr left = unary();
    while (is_sign("**")) left = joined(Node::binary, std::move(left), &Parser::unary);
    return left;
  }
  Expr unary() {
    const Deeper deeper(*this);
    if (is_sign("-")) {
      Expr made = node(Node::negation);
      next();
      add(made, unary());
      return made;
    }
    take_sign("+");
    return filters(postfix(primary()));
  }

  Expr primary() {
    if (now().kind == Kind::string) {
      std::string text;
      for (; now().kind == Kind::string; next()) text += now().text;
      return constant(text);
    }
    if (now().kind == Kind::integer || now().kind == Kind::real) {
      Expr made =
          now().kind == Kind::integer ? constant(std::stoll(now().text)) : constant(std::stod(now().text));
      next();
      return made;
    }
    if (take_name("true") || take_name("True")) return constant(true);
    if (take_name("false") || take_name("False")) return constant(false);
    if (take_name("none") || take_name("None")) return constant(nullptr);
    if (now().kind == Kind::name) {
      Expr made = node(Node::name, now().text);
      next();
      return made;
    }
    if (take_sign("(")) return parentheses();
    if (take_sign("[")) return list("]");
    if (take_sign("{")) return dictionary();
    unexpected("an expression");
  }

  Expr parentheses() {
    if (take_sign(")")) return node(Node::list);
    Expr first = expression();
    if (take_sign(")")) return first;
    Expr made = node(Node::list);
    add(made, std::move(first));
    while (take_sign(",") && !is_sign(")")) add(made, expression());
    want_sign(")");
    return made;
  }
  Expr list(const char* close) {
    Expr made = node(Node::list);
    while (!is_sign(close)) {
      add(made, expression());
      if (!take_sign(",")) break;
    }
    want_sign(close);
    return made;
  }
  Expr dictionary() {
    Expr made = node(Node::dictionary);
    while (!is_sign("}")) {
      add(made, expression());
      want_sign(":");
      add(made, expression());
      if (!take_sign(",")) break;
    }
    want_sign("}");
    return made;
  }

  Expr postfix(Expr value) {
    for (int count = 0;; ++count) {
      if (count > deepest) unexpected("fewer attributes in a row");
      Expr made;
      if (take_sign(".")) {
        made = node(Node::attribute, now().text);
        want_name("an attribute");
        add(made, std::move(value));
      } else if (take_sign("[")) {
        made = subscript(std::move(value));
      } else if (is_sign("(")) {
        made = node(Node::call);
        add(made, std::move(value));
        made->arguments = arguments();
      } else {
        return value;
      }
      value = std::move(made);
    }
  }

  Expr subscript(Expr value) {
    Expr made = node(Node::item);
    add(made, std::move(value));
    add(made, is_sign(":") ? nullptr : expression());
    if (is_sign(":")) made->kind = Node::slice;
    while (take_sign(":")) add(made, is_sign(":") || is_sign("]") ? nullptr : expression());
    want_sign("]");
    if (made->kind == Node::slice) made->parts.resize(4);
    return made;
  }

  std::vector<Argument> arguments() {
    std::vector<Argument> list;
    want_sign("(");
    while (!is_sign(")")) {
      Argument argument;
      if (now().kind == Kind::name && ahead().kind == Kind::sign && ahead().text == "=") {
        argument.name = now().text;
        next();
        next();
      }
      argument.value = expression();
      list.push_back(std::move(argument));
      if (!take_sign(",")) break;
    }
    want_sign(")");
    return list;
  }

  Expr filters(Expr value) {
    for (int count = 0;; ++count) {
      if (count > deepest) unexpected("fewer filters in a row");
      Expr made;
      if (take_sign("|")) {
        made = node(Node::filter, now().text);
        want_name("a filter");
        if (is_sign("(")) made->arguments = arguments();
      } else if (take_name("is")) {
        made = node(Node::test);
        made->negated = take_name("not");
        made->text = want_name("a test");
        if (is_sign("(")) {
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

  // Whether a test's single argument follows without parentheses.
  bool starts_value() const {
    if (now().kind == Kind::string || now().kind == Kind::integer || now().kind == Kind::real) return true;
    if (now().kind == Kind::sign) return now().text == "[" || now().text == "{";
    if (now().kind != Kind::name) return false;
    for (const char* word : {"and", "or", "not", "if", "else", "in", "is"})
      if (now().text == word) return false;
    return true;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::unique_ptr<Template> parse(std::string_view source) {
  constexpr size_t longest = 1 << 20;
  if (source.size() > longest)
    fail("expected a chat template of at most {} bytes, found {}", longest, source.size());
  auto made = std::make_unique<Template>();
  made->body = Parser(lex(source)).all();
  return made;
}

}  // namespace formwork::chat
