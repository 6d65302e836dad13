// What filters and methods do to texts in UTF-8.
#pragma once
#include <string>
#include <vector>

#include "formwork/text/chat/value.h"

namespace formwork::chat {

Value text_value(std::string text);

enum class Letters { upper, lower, title, capital };
// ASCII letters change in either direction; others only to lower case.
std::string in_letters(const std::string& text, Letters letters);

// The first `most` of `from` become `to`; all where `most` is negative.
std::string replaced(const std::string& text, const std::string& from, const std::string& to, int64_t most);

// Bytes of UTF-8 -> its characters.
std::vector<std::string> characters(const std::string& text);

// Without the characters of `set` at its ends; without white space where the set is empty.
std::string stripped(const std::string& text, const std::string& set, bool left, bool right);

}  // namespace formwork::chat
