// Text line by line.
#pragma once
#include <cstdint>
#include <string_view>

namespace formwork {

// visit(line, number from 1) for every line that is not empty, without its \n or \r\n.
template <class Visit>
void for_each_line(std::string_view content, Visit&& visit) {
  int64_t number = 1;
  for (size_t start = 0; start < content.size(); ++number) {
    const size_t found = content.find('\n', start), end = found < content.size() ? found : content.size();
    std::string_view line = content.substr(start, end - start);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty()) visit(line, number);
    start = end + 1;
  }
}

}  // namespace formwork
