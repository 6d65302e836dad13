#include "formwork/explain/incontext/learner.h"

namespace formwork {

FORMWORK_KIND(Learner);

Tensor LinearLearner::predict(const Examples& known, const Tensor& asked) const {
  return asked.matmul(weights(known).unsqueeze(-1)).squeeze(-1);
}

std::string learner_label(const PartSpec& learner) {
  if (learner.options.empty()) return learner.type;
  std::vector<std::string> options;
  for (const auto& [name, value] : learner.options.items())
    options.push_back(
        fmt::format("{} {}", name, value.is_string() ? value.get<std::string>() : value.dump()));
  return fmt::format("{} ({})", learner.type, fmt::join(options, ", "));
}

}  // namespace formwork
