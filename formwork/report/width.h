// Text on a terminal: how many columns it takes, and how to cut it without splitting a character.
#pragma once
#include <cstdio>
#include <string>
#include <string_view>

namespace formwork {

// Columns that UTF-8 `text` takes: 2 for East Asian wide characters and emoji, 0 for combining marks, 1 for
// every other character and for every byte that is not valid UTF-8.
int display_width(std::string_view text);

// `text` cut to at most `columns`, its last column an ellipsis when something was cut. Never splits a
// character.
std::string fit_width(std::string_view text, int columns);

// `text` with spaces added to fill `columns`, on the left when `right_aligned`.
std::string pad_width(std::string_view text, int columns, bool right_aligned);

// `text` safe to print: control characters (newlines, tabs, escape sequences' first byte) become spaces and
// invalid UTF-8 becomes U+FFFD.
std::string printable_text(std::string_view text);

// True when `file` is a terminal that understands \r and erase-line.
bool is_terminal(std::FILE* file);

// Columns of the terminal behind `file`; 0 when it is not a terminal.
int terminal_width(std::FILE* file);

}  // namespace formwork
