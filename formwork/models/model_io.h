// Models on disk: a folder with formwork.json (the Spec) beside model.safetensors (each tensor once), or
// whatever a registered format of others accepts (interop/model_format.h).
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "formwork/interop/safetensors.h"
#include "formwork/models/model.h"

namespace formwork {

// Every stored parameter by name, tied ones once.
TensorMap model_tensors(const Model& model);

// Gives the model's parameters the tensors' values and dtypes. Missing names, unexpected names and wrong
// shapes are errors that name them and `where`.
void load_tensors(Model& model, const TensorMap& tensors, const std::string& where);

// A tokenizer that the Spec's meta names by its file is copied beside the model.
void save_model(const Model& model, const std::string& folder);

// Whether there is a model with weights at `path`.
bool holds_model(const std::string& path);
// The Spec of the model at `path`. A tokenizer beside it is named in meta, unless that holds one.
Spec read_spec(const std::string& path);
// Weights stay views of the mapped file where nothing is computed; `dtype` casts the floating-point ones.
std::shared_ptr<Model> load_model(const std::string& path, std::optional<at::ScalarType> dtype = {});

// Bytes of the files that hold a model.
int64_t bytes_on_disk(const std::string& path);

}  // namespace formwork
