// A text that is always at hand: Formwork's own sources and documents.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

// The files in the order of their paths, each after a line "==== path ====". Lives as long as the library.
std::string_view embedded_text();

struct EmbeddedSource {
  std::string path;  // "formwork/core/error.h"
  std::string_view text;
};
// The sources in that text, byte by byte, in the order of their paths.
std::vector<EmbeddedSource> embedded_sources();

}  // namespace formwork
