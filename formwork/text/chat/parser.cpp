#include "formwork/core/error.h"
#include "formwork/text/chat/expression_parser.h"

namespace formwork::chat {
namespace {

using TokenKind = Token::Kind;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : cursor_(std::move(tokens)), expressions_(cursor_) {}

  std::vector<Statement> all() {
    std::vector<Statement> body = statements({});
    if (cursor_.now().kind != TokenKind::end) cursor_.unexpected("a tag");
    return body;
  }

 private:
  // Statements up to a block that begins with one of `ends` (its name is then the current token)
  std::vector<Statement> statements(const std::vector<std::string>& ends) {
    const TokenCursor::Deeper deeper(cursor_);
    std::vector<Statement> body;
    for (;;) {
      if (cursor_.now().kind == TokenKind::text) {
        body.push_back(make(Statement::Kind::text));
        body.back().text = cursor_.now().text;
        cursor_.next();
      } else if (cursor_.now().kind == TokenKind::output_begin) {
        cursor_.next();
        body.push_back(make(Statement::Kind::output));
        body.back().value = expressions_.tuple_or_expression();
        cursor_.want(TokenKind::output_end, "}}");
      } else if (cursor_.now().kind == TokenKind::block_begin) {
        cursor_.next();
        for (const std::string& end : ends)
          if (cursor_.is_name(end.c_str())) return body;
        body.push_back(block());
      } else {
        if (!ends.empty())
          fail("chat template, line {}: expected {}, found the end", cursor_.now().line, ends.back());
        return body;
      }
    }
  }

  Statement make(Statement::Kind kind) const {
    Statement statement;
    statement.kind = kind;
    statement.line = cursor_.now().line;
    return statement;
  }

  Statement block() {
    if (cursor_.take_name("if")) return if_block();
    if (cursor_.take_name("for")) return for_block();
    if (cursor_.take_name("set")) return set_block();
    if (cursor_.take_name("macro")) return macro_block();
    if (cursor_.take_name("generation")) return plain_block("endgeneration");
    if (cursor_.take_name("break")) return leaf(Statement::Kind::break_loop);
    if (cursor_.take_name("continue")) return leaf(Statement::Kind::continue_loop);
    cursor_.unexpected("if, for, set, macro, break, continue or generation");
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
    cursor_.next();
    end_block();
    return statement;
  }

  Statement if_block() {
    Statement statement = make(Statement::Kind::choice);
    Expr condition = expressions_.tuple_or_expression();
    for (;;) {
      end_block();
      statement.branches.push_back({std::move(condition), statements({"elif", "else", "endif"})});
      if (cursor_.take_name("elif")) {
        condition = expressions_.tuple_or_expression();
      } else if (cursor_.take_name("else")) {
        condition = nullptr;
      } else {
        cursor_.next();
        end_block();
        return statement;
      }
    }
  }

  std::vector<std::string> targets() {
    std::vector<std::string> names;
    const bool closed = cursor_.take_sign("(");
    do names.push_back(cursor_.want_name("a name"));
    while (cursor_.take_sign(","));
    if (closed) cursor_.want_sign(")");
    return names;
  }

  Statement for_block() {
    Statement statement = make(Statement::Kind::loop);
    statement.names = targets();
    if (!cursor_.take_name("in")) cursor_.unexpected("in");
    statement.value = expressions_.either();  // without "x if y", which would take the loop's own if
    if (cursor_.take_name("if")) statement.condition = expressions_.expression();
    end_block();
    statement.body = statements({"else", "endfor"});
    if (cursor_.take_name("else")) {
      end_block();
      statement.branches.push_back({nullptr, statements({"endfor"})});
    }
    cursor_.next();
    end_block();
    return statement;
  }

  Statement set_block() {
    Statement statement = make(Statement::Kind::set);
    statement.names = targets();
    if (cursor_.take_sign(".")) statement.attribute = cursor_.want_name("an attribute");
    if (cursor_.take_sign("=")) {
      statement.value = expressions_.tuple_or_expression();
      end_block();
      return statement;
    }
    statement.kind = Statement::Kind::set_block;
    end_block();
    statement.body = statements({"endset"});
    cursor_.next();
    end_block();
    return statement;
  }

  Statement macro_block() {
    Statement statement = make(Statement::Kind::macro);
    statement.text = cursor_.want_name("a macro's name");
    cursor_.want_sign("(");
    while (!cursor_.is_sign(")")) {
      statement.names.push_back(cursor_.want_name("a parameter"));
      statement.defaults.push_back(cursor_.take_sign("=") ? expressions_.expression() : nullptr);
      if (!cursor_.take_sign(",")) break;
    }
    cursor_.want_sign(")");
    end_block();
    statement.body = statements({"endmacro"});
    cursor_.next();
    if (cursor_.now().kind == TokenKind::name) cursor_.next();
    end_block();
    return statement;
  }

  void end_block() { cursor_.want(TokenKind::block_end, "%}"); }

  TokenCursor cursor_;
  ExpressionParser expressions_;
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
