// A model of another Spec that starts with the weights of a given one: what the two have in common is copied
// by name, and what is named as the new model's own starts afresh.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/models/model_io.h"

namespace formwork {

// `own`: paths of parts (or patterns) whose parameters keep their initialization, drawn from `seed`. Fails
// with a list of every other parameter that `from` lacks or has in another shape.
std::shared_ptr<Model> transfer_weights(const Model& from, const Spec& to,
                                        const std::vector<std::string>& own, uint64_t seed);

}  // namespace formwork
