// What fuzz targets share. Each defines `fuzz`; an Error is the answer to bad input, anything else is a
// defect.
#pragma once
#include <cstdlib>
#include <string_view>

#include "formwork/core/error.h"

namespace formwork {

void fuzz(std::string_view input);

inline void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace formwork
