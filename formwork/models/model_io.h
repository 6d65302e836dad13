// Models on disk: formwork.json (the Spec) beside model.safetensors (each tensor once).
#pragma once
#include <memory>
#include <string>

#include "formwork/interop/safetensors.h"
#include "formwork/models/model.h"

namespace formwork {

// Every stored parameter by name, tied ones once.
TensorMap model_tensors(const Model& model);

// Gives the model's parameters the tensors' values and dtypes. Missing names, unexpected names and wrong
// shapes are errors that name them and `where`.
void load_tensors(Model& model, const TensorMap& tensors, const std::string& where);

void save_model(const Model& model, const std::string& folder);
std::shared_ptr<Model> load_model(const std::string& folder);

// Bytes that save_model writes.
int64_t bytes_on_disk(const std::string& folder);

}  // namespace formwork
