#include "formwork/interop/model_format.h"

namespace formwork {

FORMWORK_KIND(ModelFormat);

std::unique_ptr<ForeignModel> open_foreign_model(const std::filesystem::path& path) {
  for (const auto& name : Registry<ModelFormat>::names())
    if (const auto format = Registry<ModelFormat>::make(name); format->accepts(path))
      return format->open(path);
  return nullptr;
}

}  // namespace formwork
