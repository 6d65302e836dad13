// What an evaluation found.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

struct Metrics {
  int64_t samples = 0;                                 // evaluated, each once
  double loss = 0;                                     // nats a target
  std::vector<std::pair<std::string, double>> values;  // loss first

  // The value called `name`; throws, naming the nearest, when there is none.
  double value(const std::string& name) const;
  Json to_json() const;
};

}  // namespace formwork
