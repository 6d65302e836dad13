// Folders of Hugging Face transformers as models: what their reader leaves for their writer.
#pragma once

namespace formwork {

// What a Spec's meta remembers of where the model came from: {"config": ..., "modules": ...}.
inline constexpr const char* kHuggingFaceMeta = "hugging_face";

}  // namespace formwork
