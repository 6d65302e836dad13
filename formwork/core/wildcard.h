// Patterns of names.
#pragma once
#include <string>

namespace formwork {

// Whether a whole name fits a pattern, in which '*' stands for any characters.
bool matches(const std::string& pattern, const std::string& name);

}  // namespace formwork
