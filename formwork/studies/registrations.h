// Where each part is registered, read from the sources that the library carries (data/embedded_text.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace formwork {

struct Registration {
  std::string kind;  // "mixers"
  std::string name;  // "attention"
  std::string file;  // "formwork/mixers/attention/attention.cpp"
  int64_t line = 0;  // from 1
};

// In the order of files and lines. Computed once.
const std::vector<Registration>& registrations();

// The files of a source: itself and the header beside it, where there is one.
std::vector<std::string> with_header(const std::string& source);

}  // namespace formwork
