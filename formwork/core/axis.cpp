#include "formwork/core/axis.h"

#include "formwork/core/error.h"

namespace formwork {

const char* group_name(Group group) {
  static constexpr const char* names[] = {"none",  "rotary pairs", "permute",
                                          "scale", "orthogonal",   "invertible"};
  return names[static_cast<int>(group)];
}

int64_t Dim::size() const {
  int64_t total = 0;
  bool over = false;
  for (const auto& segment : segments) {
    int64_t product = 1;
    for (const auto& axis : segment) over |= __builtin_mul_overflow(product, axis.size, &product);
    over |= __builtin_add_overflow(total, product, &total);
  }
  if (over) fail("a dimension {} has more entries than 63 bits can count", describe());
  return total;
}

// A group at the end may be short.
int64_t Dim::stored() const { return (size() + grain - 1) / grain; }

bool Dim::carries(const std::string& axis) const {
  for (const auto& segment : segments)
    for (const auto& factor : segment)
      if (factor.name == axis) return true;
  return false;
}

std::string Dim::describe() const {
  std::string text;
  for (const auto& segment : segments) {
    if (!text.empty()) text += " + ";
    for (size_t i = 0; i < segment.size(); ++i) {
      if (i) text += " * ";
      text += segment[i].name.empty() ? fmt::format("{}", segment[i].size) : segment[i].name;
    }
  }
  return text;
}

}  // namespace formwork
