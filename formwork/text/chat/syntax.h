// The syntax tree of a chat template.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formwork/text/chat/value.h"

namespace formwork::chat {

struct Expression;
using Expr = std::unique_ptr<Expression>;

struct Argument {
  std::string name;  // empty for a positional one
  Expr value;
};

struct Expression {
  enum class Kind {
    constant,    // value
    name,        // text
    list,        // parts
    dictionary,  // parts: key, value, key, value, ...
    attribute,   // parts[0].text
    item,        // parts[0][parts[1]]
    slice,       // parts[0][parts[1]:parts[2]:parts[3]], any of the three may be null
    call,        // parts[0](arguments)
    filter,      // parts[0] | text(arguments)
    test,        // parts[0] is text(arguments); negated
    negation,    // -parts[0]
    logical_not,
    logical_and,
    logical_or,
    binary,   // parts[0] text parts[1]: + - * / // % ** ~
    compare,  // parts[0] texts[0] parts[1] texts[1] parts[2] ...
    choice,   // parts[1] if parts[0] else parts[2] (may be null)
  } kind = Kind::constant;
  int line = 1, depth = 1;  // depth: of the tree below
  std::string text;
  std::vector<std::string> texts;
  std::vector<Expr> parts;
  std::vector<Argument> arguments;
  Value value;
  bool negated = false;
};

struct Statement {
  enum class Kind { text, output, choice, loop, set, set_block, macro, block, break_loop, continue_loop };
  struct Branch {
    Expr condition;  // null for else
    std::vector<Statement> body;
  };
  Kind kind = Kind::text;
  int line = 1;
  std::string text;                // of text; the name of a macro; the name that is set
  std::string attribute;           // of the namespace that is set
  std::vector<std::string> names;  // targets of a loop or a set; parameters of a macro
  std::vector<Expr> defaults;      // of the parameters; null for none
  Expr value, condition;           // what is printed, set or looped over; the loop's `if`
  std::vector<Branch> branches;    // of a choice; a loop's else
  std::vector<Statement> body;
};

struct Template {
  std::vector<Statement> body;
};

std::unique_ptr<Template> parse(std::string_view source);

}  // namespace formwork::chat
