#include "formwork/transforms/compare/candidates.h"

#include <c10/util/Exception.h>

#include "formwork/train/trainer.h"

namespace formwork {
namespace {

bool same_tensors(const TensorMap& a, const TensorMap& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a) {
    const auto other = b.find(name);
    if (other == b.end() || other->second.scalar_type() != tensor.scalar_type() ||
        !at::equal(other->second, tensor))
      return false;
  }
  return true;
}

bool same_model(const Model& a, const Model& b) {
  auto left = a.spec(), right = b.spec();
  left.history = right.history = Json::array();
  left.meta = right.meta = Json::object();
  return left.to_json() == right.to_json() && same_tensors(model_tensors(a), model_tensors(b));
}

}  // namespace

std::vector<Candidate> plan_candidates(const std::vector<std::string>& methods, int64_t recover) {
  std::vector<Candidate> list;
  const auto add = [&](const std::string& method, const Json& options) {
    list.push_back({method, options, 0});
    if (recover > 0) list.push_back({method, options, recover});
  };
  add(kOriginal, Json::object());
  for (const auto& method : methods)
    for (const auto& budget : Registry<Transform>::make({method, Json::object()})->budgets())
      add(method, budget);
  return list;
}

std::string options_text(const Json& options) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : options.items())
    parts.push_back(fmt::format("{}={}", name, value.is_string() ? value.get<std::string>() : value.dump()));
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string candidate_text(const Candidate& candidate) {
  std::string text = candidate.method;
  if (!candidate.options.empty()) text += " " + options_text(candidate.options);
  return candidate.recover > 0 ? text + ", recovered" : text;
}

Compressed compress(const Candidate& candidate, const std::shared_ptr<Model>& original,
                    const Calibration& data) {
  const auto transform = Registry<Transform>::make({candidate.method, candidate.options});
  const auto made = transform->apply(original, data);
  if (made.model == original || same_model(*made.model, *original))
    throw NothingChanged(fmt::format("'{}' changed nothing", candidate_text(candidate)));
  return {made.model, transform->budget(*original, made), made.report.value("warnings", Json::array())};
}

void recover(Model& model, Task& task, const Recovery& recovery, const std::filesystem::path& folder) {
  TrainOptions options;
  // Stopping a step before the end leaves out the evaluation on all samples that ends a run.
  options.steps = recovery.steps + 1, options.stop_after = recovery.steps;
  options.batch = recovery.batch, options.seed = recovery.seed, options.rate = recovery.rate;
  options.folder = folder.string(), options.keep = 1, options.quiet = true;
  options.resume = std::filesystem::exists(folder);
  train(model, task, options);
  std::filesystem::remove_all(folder);
}

}  // namespace formwork
