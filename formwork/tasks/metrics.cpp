#include "formwork/tasks/metrics.h"

#include "formwork/core/error.h"

namespace formwork {

double Metrics::value(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [known, value] : values) {
    if (known == name) return value;
    names.push_back(known);
  }
  fail_unknown("metric", name, names);
}

Json Metrics::to_json() const {
  Json json = {{"samples", samples}};
  for (const auto& [name, value] : values) json[name] = value;
  return json;
}

}  // namespace formwork
