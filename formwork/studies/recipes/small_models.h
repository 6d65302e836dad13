// Small models that recipes train side by side: Specs of layers, and the shared text task.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

// {"type": TYPE, "width": ..., "layers": {"repeat": ..., "pattern": [layer]}}.
Spec small_spec(const std::string& type, int64_t width, int64_t layers, const Json& layer);

// The characters of Shakespeare in rows of `length`.
PartSpec shakespeare(const StudyContext& ctx, int64_t length);

// The sentences of SST-2, trained on and evaluated on its own dev sentences, in at most 64 tokens of 2,048.
PartSpec sentiment(const StudyContext& ctx);

// The model with its weights, of a Spec that `change` has altered.
std::shared_ptr<Model> rebuilt(const Model& from, const std::function<void(Spec&)>& change);

// A metric over the first `samples` evaluation rows (fewer at a smaller scale).
double evaluated(const StudyContext& ctx, Model& model, Task& task, int64_t samples,
                 const std::string& metric);

}  // namespace formwork
