// Claims: what a paper says, what is measured here, and whether it holds.
#pragma once
#include <optional>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

struct Claim {
  std::string name;
  std::string published;      // the paper's number or statement
  double here = 0;            // measured
  std::string direction;      // what is expected of it: "at most 1.05"
  std::optional<bool> holds;  // nothing: reported, no expectation

  Json to_json() const;
};

// A measurement that is not a number holds nothing.
Claim at_most(std::string name, std::string published, double here, double bound);
Claim at_least(std::string name, std::string published, double here, double bound);
// From low to high.
Claim between(std::string name, std::string published, double here, double low, double high);
Claim below(std::string name, std::string published, double here, double bound);
// Rise a over rise b. Infinite where only a is a rise, and not a number where neither is one.
double ratio_of_rises(double a, double b);
Claim reported(std::string name, std::string published, double here);

}  // namespace formwork
