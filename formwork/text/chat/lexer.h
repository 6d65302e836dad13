// Cuts a template into text and the tokens of its tags.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace formwork::chat {

struct Token {
  enum class Kind {
    text,
    output_begin,
    output_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    sign,
    end
  };
  Kind kind = Kind::end;
  std::string text;
  int line = 1;
};

// White space around tags is already removed, as trim_blocks, lstrip_blocks and the signs - and + say.
std::vector<Token> lex(std::string_view source);

}  // namespace formwork::chat
