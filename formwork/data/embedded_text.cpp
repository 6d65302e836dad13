#include "formwork/data/embedded_text.h"

#include <algorithm>

// Set by the assembler, see cmake/EmbedAssets.cmake.
extern "C" __attribute__((visibility("hidden"))) const char formwork_text_begin[], formwork_text_end[];

namespace formwork {

std::string_view embedded_text() {
  return {formwork_text_begin, static_cast<size_t>(formwork_text_end - formwork_text_begin)};
}

std::vector<EmbeddedSource> embedded_sources() {
  constexpr std::string_view open = "==== formwork/", close = " ====\n", next = "\n==== formwork/";
  const auto text = embedded_text();
  std::vector<EmbeddedSource> sources;
  for (size_t at = text.find(open); at < text.size();) {
    const size_t path = at + open.size() - std::string_view("formwork/").size();
    const size_t end = text.find(close, path), start = end + close.size();
    const size_t stop = std::min(text.find(next, start), text.size() - 1);  // before the line break between
    sources.push_back({std::string(text.substr(path, end - path)), text.substr(start, stop - start)});
    at = stop + 1;
  }
  return sources;
}

}  // namespace formwork
