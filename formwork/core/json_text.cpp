#include "formwork/core/json_text.h"

namespace formwork {

void check_json_depth(std::string_view text, std::string_view where) {
  constexpr int kDeepest = 200;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepest) fail("{}: JSON nested deeper than {} levels", where, kDeepest);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

}  // namespace formwork
