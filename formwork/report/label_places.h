// Where labels of points in a chart stand so that they do not cover each other.
#pragma once
#include <string>
#include <vector>

namespace formwork {

struct LabelledPoint {
  double x = 0, y = 0;  // in the plot, 0 to 1, y upwards
  std::string text;
};

// Beside its point; a label that would cover another at all four corners, or leave the plot, is not shown.
struct LabelPlace {
  bool shown = false, right = true, above = true;
};

// Places in order of the points, of which the first have the first choice.
std::vector<LabelPlace> place_labels(const std::vector<LabelledPoint>& points);

}  // namespace formwork
