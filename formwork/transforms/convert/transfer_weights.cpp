#include "formwork/transforms/convert/transfer_weights.h"

#include <algorithm>

#include "formwork/core/wildcard.h"

namespace formwork {

std::shared_ptr<Model> transfer_weights(const Model& from, const Spec& to,
                                        const std::vector<std::string>& own, uint64_t seed) {
  auto model = build_model(to, seed, from.inventory().dtype);
  auto tensors = model_tensors(*model);
  const auto given = model_tensors(from);
  const auto is_own = [&](const std::string& name) {
    return std::any_of(own.begin(), own.end(), [&](const auto& path) { return matches(path + ".*", name); });
  };
  std::vector<std::string> lacking;
  for (auto& [name, tensor] : tensors) {
    if (is_own(name)) continue;
    const auto found = given.find(name);
    if (found == given.end()) {
      lacking.push_back(name);
    } else if (found->second.sizes() != tensor.sizes()) {
      lacking.push_back(fmt::format("{} [{}], found [{}]", name, fmt::join(tensor.sizes().vec(), ", "),
                                    fmt::join(found->second.sizes().vec(), ", ")));
    } else {
      tensor = found->second.detach().clone();
    }
  }
  if (!lacking.empty())
    fail("the given model lacks {} of the parameters that the new one takes from it: {}", lacking.size(),
         fmt::join(lacking, "; "));
  load_tensors(*model, tensors, "transferred weights");
  return model;
}

}  // namespace formwork
