#include "formwork/studies/claim.h"

#include <fmt/format.h>

#include <limits>

namespace formwork {

Json Claim::to_json() const {
  return {{"claim", name},
          {"published", published},
          {"here", here},
          {"expected", direction},
          {"holds", holds ? Json(*holds) : Json(nullptr)}};
}

Claim at_most(std::string name, std::string published, double here, double bound) {
  return {std::move(name), std::move(published), here, fmt::format("at most {:g}", bound), here <= bound};
}

Claim at_least(std::string name, std::string published, double here, double bound) {
  return {std::move(name), std::move(published), here, fmt::format("at least {:g}", bound), here >= bound};
}

Claim between(std::string name, std::string published, double here, double low, double high) {
  return {std::move(name), std::move(published), here, fmt::format("{:g} to {:g}", low, high),
          here >= low && here <= high};
}

Claim below(std::string name, std::string published, double here, double bound) {
  return {std::move(name), std::move(published), here, fmt::format("below {:g}", bound), here < bound};
}

double ratio_of_rises(double a, double b) {
  if (b > 0) return a / b;
  return a > 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
}

Claim reported(std::string name, std::string published, double here) {
  return {std::move(name), std::move(published), here, "reported", std::nullopt};
}

}  // namespace formwork
