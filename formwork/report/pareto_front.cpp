#include <algorithm>
#include <cmath>

#include "formwork/report/chart_spec.h"

namespace formwork {

using chart::Json;
using chart::number_of;

std::vector<size_t> pareto_front(const std::vector<Json>& rows, const std::string& x, Better x_better,
                                 const std::string& y, Better y_better) {
  // Signs turn both into "smaller is better"; then a row is on the front when its y beats all with smaller x.
  const double x_sign = x_better == Better::smaller ? 1 : -1, y_sign = y_better == Better::smaller ? 1 : -1;
  const auto key = [&](size_t i) {
    return std::pair(x_sign * number_of(rows[i], x), y_sign * number_of(rows[i], y));
  };
  std::vector<size_t> order;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(key(i).first) && std::isfinite(key(i).second)) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<size_t> front;
  for (const size_t i : order) {
    if (front.empty() || key(i).second < key(front.back()).second) front.push_back(i);
  }
  if (x_better == Better::larger) std::reverse(front.begin(), front.end());
  return front;
}

}  // namespace formwork
