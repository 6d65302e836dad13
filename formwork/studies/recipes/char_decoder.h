// The decoder that the compression recipes share: 8 layers of width 128 (rotary attention, 4 heads; gated
// MLP, 352 hidden units; RMSNorm) over the characters of Shakespeare, 600 steps of 16 rows of 128.
#pragma once
#include "formwork/studies/study.h"
#include "formwork/transforms/transform.h"

namespace formwork {

Trained char_decoder(StudyContext& ctx);
Spec char_decoder_spec();
TrainOptions char_decoder_training(const StudyContext& ctx);

// Nats a token over the first 256 evaluation windows (fewer at a smaller scale).
double held_out_loss(StudyContext& ctx, Model& model, Task& task);

// `rows` training rows, which the evaluation does not see.
Calibration calibration_rows(StudyContext& ctx, const Task& task, int64_t rows);

// The model after a registered transform with these options.
TransformResult transformed(const std::shared_ptr<Model>& model, const std::string& method,
                            const Json& options, const Calibration& data);

// The model with a head matrix of its own, where it shares the embedding's.
std::shared_ptr<Model> with_own_head(const std::shared_ptr<Model>& model);

// A number of a stage's result; not a number where it was not finite.
double number(const Json& found, const std::string& name);

}  // namespace formwork
