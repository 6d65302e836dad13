// A model as the runtime reads it from a path: a folder of Formwork's, one of Hugging Face's or a GGUF file
// (interop/model_format.h decides which). Weights stay mapped.
#pragma once
#include <filesystem>
#include <memory>
#include <mutex>

#include "formwork/core/spec.h"
#include "formwork/runtime/model.h"
#include "formwork/text/tokenizer.h"

namespace formwork::runtime {

class ModelFile {
 public:
  // Throws Error for whatever is missing, malformed or has no runtime form.
  explicit ModelFile(const std::filesystem::path& path);

  const Spec& spec() const { return spec_; }
  const Model& model() const { return *model_; }
  // The model's own, or bytes where it names none and has a vocabulary of 256; otherwise null. It is read
  // when it is first asked for, and then throws Error where it is broken.
  const Tokenizer* tokenizer() const;

 private:
  Spec spec_;
  RawMap tensors_;
  std::unique_ptr<Model> model_;
  mutable std::once_flag tokenizer_read_;
  mutable std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace formwork::runtime
