#include "formwork/data/embedded_text.h"

// Set by the assembler, see cmake/EmbedAssets.cmake.
extern "C" __attribute__((visibility("hidden"))) const char formwork_text_begin[], formwork_text_end[];

namespace formwork {

std::string_view embedded_text() {
  return {formwork_text_begin, static_cast<size_t>(formwork_text_end - formwork_text_begin)};
}

}  // namespace formwork
