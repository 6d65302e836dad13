// A text that is always at hand: Formwork's own sources and documents.
#pragma once
#include <string_view>

namespace formwork {

// The files in the order of their paths, each after a line "==== path ====". Lives as long as the library.
std::string_view embedded_text();

}  // namespace formwork
