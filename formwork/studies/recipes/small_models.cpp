#include "formwork/studies/recipes/small_models.h"

#include "formwork/train/evaluate.h"

namespace formwork {

Spec small_spec(const std::string& type, int64_t width, int64_t layers, const Json& layer) {
  Spec spec;
  spec.model = PartSpec(type);
  spec.model.options = {{"width", width},
                        {"layers", {{"repeat", layers}, {"pattern", Json::array({layer})}}}};
  return spec;
}

PartSpec shakespeare(const StudyContext& ctx, int64_t length) {
  PartSpec task("text");
  task.options = {{"file", ctx.data("text/tinyshakespeare.txt")}, {"length", length}};
  return task;
}

double evaluated(const StudyContext& ctx, Model& model, Task& task, int64_t samples,
                 const std::string& metric) {
  EvaluateOptions options;
  options.samples = ctx.scaled(samples, 4);
  return evaluate(model, task, options).value(metric);
}

}  // namespace formwork
