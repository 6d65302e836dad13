#include "formwork/studies/recipes/char_decoder.h"

#include <limits>

#include "formwork/studies/recipes/small_models.h"

namespace formwork {

Spec char_decoder_spec() {
  const Json layer = {{"mixer", {{"type", "attention"}, {"heads", 4}, {"position", "rotary"}}},
                      {"channel", {{"type", "gated_mlp"}, {"hidden", 352}}}};
  return small_spec("decoder", 128, 8, layer);
}

TrainOptions char_decoder_training(const StudyContext& ctx) {
  TrainOptions options;
  options.steps = ctx.scaled(600), options.batch = 16, options.rate = 3e-3;
  options.evaluate_batch = 16;
  return options;
}

Trained char_decoder(StudyContext& ctx) {
  return ctx.trained("char-decoder", char_decoder_spec(), shakespeare(ctx, 128), char_decoder_training(ctx));
}

double held_out_loss(StudyContext& ctx, Model& model, Task& task) {
  return evaluated(ctx, model, task, 256, "loss");
}

Calibration calibration_rows(StudyContext& ctx, const Task& task, int64_t rows) {
  constexpr int64_t kBatch = 8;
  // Steps far behind those of training: other windows of the same part of the text.
  constexpr int64_t kFirst = int64_t{1} << 30;
  Calibration data;
  for (int64_t i = 0; i * kBatch < rows; ++i)
    data.batches.push_back(task.training_batch(kBatch, ctx.seed(), kFirst + i)
                               .narrow(0, std::min(kBatch, rows - i * kBatch))
                               .inputs);
  return data;
}

TransformResult transformed(const std::shared_ptr<Model>& model, const std::string& method,
                            const Json& options, const Calibration& data) {
  return Registry<Transform>::make({method, options})->apply(model, data);
}

std::shared_ptr<Model> with_own_head(const std::shared_ptr<Model>& model) {
  if (model->inventory().ties.empty()) return model;
  Edit edit(*model);
  edit.untie();
  return edit.finish();
}

double number(const Json& found, const std::string& name) {
  const auto& value = found.at(name);
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace formwork
