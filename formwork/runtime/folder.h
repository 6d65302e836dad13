// A model folder as the runtime reads it: formwork.json, and weights that stay mapped.
#pragma once
#include <filesystem>
#include <memory>
#include <vector>

#include "formwork/core/file.h"
#include "formwork/core/spec.h"
#include "formwork/runtime/model.h"
#include "formwork/text/tokenizer.h"

namespace formwork::runtime {

class Folder {
 public:
  // Throws Error for whatever is missing, malformed or has no runtime form.
  explicit Folder(const std::filesystem::path& path);

  const Spec& spec() const { return spec_; }
  const Model& model() const { return *model_; }
  // The model's own, or bytes where it names none and has a vocabulary of 256; otherwise null.
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }

 private:
  void map(const std::filesystem::path& file);

  Spec spec_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<std::unique_ptr<std::byte[]>> moved_;  // tensors that the file does not align to their elements
  Tensors tensors_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace formwork::runtime
