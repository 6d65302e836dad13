// The `tokenizer.json` form of a byte-level BPE model, as the Hugging Face tokenizers library writes it.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "formwork/text/bpe_model.h"

namespace formwork {

nlohmann::json bpe_model_to_json(const BpeModel& model);

// Throws Error, starting with `where`, when the content is broken or asks for what byte-level BPE with the
// word pattern of GPT-2 is not.
BpeModel bpe_model_from_json(const nlohmann::json& content, std::string_view where);

}  // namespace formwork
