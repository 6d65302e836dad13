// Folders of Hugging Face transformers and of sentence-transformers, written. Their reader is registered by
// hugging_face_format.cpp; the families are in interop/families.
#pragma once
#include <filesystem>

#include "formwork/interop/safetensors.h"
#include "formwork/models/model_io.h"

namespace formwork {

// Writes a model as a folder that transformers loads: config.json, model.safetensors and, from the folder
// that the model came from, its companions. `family`: the family to write; empty: the one that the model was
// read as, or else the first that can express it. `dtype`: of the floating-point tensors; undefined: as they
// are. A model that no family can express is an Error that names the part that stands in the way.
struct HuggingFaceExport {
  std::string family;
  std::optional<at::ScalarType> dtype;
};
void export_hugging_face(const std::shared_ptr<Model>& model, const std::filesystem::path& from,
                         const std::filesystem::path& folder, const HuggingFaceExport& options = {});

}  // namespace formwork
