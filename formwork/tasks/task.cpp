#include "formwork/tasks/task.h"

#include "formwork/data/text_corpus.h"
#include "formwork/models/model.h"

namespace formwork {

FORMWORK_KIND(Task);

int64_t Batch::target_count() const {
  const auto real =
      targets.is_floating_point() ? targets.select(-1, 0).isnan().logical_not() : targets.ne(ignored_target);
  return real.sum().item<int64_t>();
}

int64_t Batch::token_count() const {
  const auto mask = inputs.find("attention_mask");
  if (mask != inputs.end()) return mask->second.sum().item<int64_t>();
  for (const char* field : {"input_ids", "input_features"})
    if (const auto tokens = inputs.find(field); tokens != inputs.end())
      return tokens->second.size(0) * tokens->second.size(1);
  return rows();
}

Batch Batch::narrow(int64_t first, int64_t rows) const {
  Batch part;
  for (const auto& [name, value] : inputs) part.inputs[name] = value.narrow(0, first, rows);
  part.targets = targets.narrow(0, first, rows);
  return part;
}

void Task::shape(Spec& spec) const {
  Json& options = spec.model.options;
  const Json needs = model_needs();
  for (const auto& [key, value] : needs.items()) options[key] = value;
  const auto multiple = options.find("vocab_multiple");
  if (!needs.contains("vocab") || multiple == options.end() || !multiple->is_number_integer()) return;
  const auto to = std::max<int64_t>(1, multiple->get<int64_t>()), vocab = needs["vocab"].get<int64_t>();
  options["vocab"] = (vocab + to - 1) / to * to;
}

Tensor Task::loss(Model& model, Context& ctx, const Batch& part, const BatchSize& whole) const {
  return objective(model.forward(ctx, part.inputs), part, 1 / static_cast<double>(whole.targets));
}

void Task::check(const Model& model) const {
  const auto needs = model_needs();
  if (!needs.contains("vocab")) return;
  const auto needed = needs["vocab"].get<int64_t>();
  const auto& axes = model.inventory().axes;
  const auto vocab = axes.find("vocab");
  if (vocab == axes.end())
    fail("this task needs a model of tokens; '{}' has no vocabulary", model.spec().model.type);
  if (vocab->second.size < needed)
    fail("the task's vocabulary has {} tokens, the model's only {}", needed, vocab->second.size);
}

}  // namespace formwork
