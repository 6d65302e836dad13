// Errors that a user can act on: one line that says what was expected, what was found and where.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

// Thrown for wrong input; the command line prints what() as one line and exits with code 2.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

// `text` cut to a line's length, with control characters and bytes that are not ASCII shown as \xNN.
std::string escaped(std::string_view text);

// The candidate with the smallest edit distance to `name`; empty when none is near.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// "unknown KIND 'name'; did you mean 'nearest'?" followed by the known names when none is near.
[[noreturn]] void fail_unknown(std::string_view kind, std::string_view name,
                               const std::vector<std::string>& candidates);

}  // namespace formwork
