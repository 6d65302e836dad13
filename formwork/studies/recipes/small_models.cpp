#include "formwork/studies/recipes/small_models.h"

#include "formwork/models/model_io.h"
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

PartSpec sentiment(const StudyContext& ctx) {
  PartSpec task("classify");
  task.options = {{"file", ctx.data("nlp/sst2-train.tsv")},
                  {"evaluation_file", ctx.data("nlp/sst2-dev.tsv")},
                  {"tokenizer", "bpe"},
                  {"vocab", 2048},
                  {"length", 64}};
  return task;
}

std::shared_ptr<Model> rebuilt(const Model& from, const std::function<void(Spec&)>& change) {
  Spec spec = from.spec();
  change(spec);
  auto tensors = model_tensors(from);
  for (auto& [name, tensor] : tensors) tensor = tensor.detach().clone();
  auto model = build_model(spec);
  load_tensors(*model, tensors, "the model before");
  return model;
}

double evaluated(const StudyContext& ctx, Model& model, Task& task, int64_t samples,
                 const std::string& metric) {
  EvaluateOptions options;
  options.samples = ctx.scaled(samples, 4);
  return evaluate(model, task, options).value(metric);
}

}  // namespace formwork
