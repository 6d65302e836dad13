#include "formwork/runtime/model_file.h"

#include "formwork/interop/companions.h"
#include "formwork/interop/model_format.h"
#include "formwork/text/byte_tokenizer.h"

namespace formwork::runtime {
namespace {

std::unique_ptr<Tokenizer> tokenizer_of(const Json& meta, int64_t vocab) {
  if (auto own = own_tokenizer(meta)) return own;
  return vocab == 256 && !meta.contains("symbols") ? byte_tokenizer() : nullptr;
}

}  // namespace

ModelFile::ModelFile(const std::filesystem::path& path) {
  const auto stored = open_model(path);
  spec_ = spec_of_model(*stored, path);
  tensors_ = stored->tensors([&] { return Model::parameters(spec_); });
  model_ = std::make_unique<Model>(spec_, tensors_);
}

const Tokenizer* ModelFile::tokenizer() const {
  std::call_once(tokenizer_read_, [&] { tokenizer_ = tokenizer_of(spec_.meta, model_->vocab()); });
  return tokenizer_.get();
}

}  // namespace formwork::runtime
