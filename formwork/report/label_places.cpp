#include "formwork/report/label_places.h"

#include <algorithm>

#include "formwork/report/width.h"

namespace formwork {
namespace {

// A plot as it is on a page of common width, in pixels.
constexpr double kWidth = 880, kHeight = 380, kCharacter = 6.8, kLine = 16, kAway = 8;

struct Box {
  double left, right, bottom, top;
  bool meets(const Box& other) const {
    return left < other.right && other.left < right && bottom < other.top && other.bottom < top;
  }
  bool is_inside() const {
    return left >= 0 && right <= kWidth && bottom >= -kLine && top <= kHeight + kLine;
  }
};

Box box_of(const LabelledPoint& point, const LabelPlace& place) {
  const double width = kCharacter * display_width(point.text), x = point.x * kWidth, y = point.y * kHeight;
  const double left = place.right ? x + kAway : x - kAway - width;
  const double bottom = place.above ? y : y - kLine;
  return {left, left + width, bottom, bottom + kLine};
}

}  // namespace

std::vector<LabelPlace> place_labels(const std::vector<LabelledPoint>& points) {
  constexpr LabelPlace kChoices[] = {
      {true, true, true}, {true, false, false}, {true, true, false}, {true, false, true}};
  std::vector<LabelPlace> places;
  std::vector<Box> taken;
  for (const auto& point : points) {
    places.emplace_back();
    for (const auto& choice : kChoices) {
      const auto box = box_of(point, choice);
      const auto covers = [&](const Box& other) { return box.meets(other); };
      if (!box.is_inside() || std::any_of(taken.begin(), taken.end(), covers)) continue;
      places.back() = choice;
      taken.push_back(box);
      break;
    }
  }
  return places;
}

}  // namespace formwork
