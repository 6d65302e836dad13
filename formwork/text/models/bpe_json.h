// The `tokenizer.json` form of a trained byte-level BPE model.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "formwork/text/models/bpe_model.h"

namespace formwork {

nlohmann::json bpe_model_to_json(const BpeModel& model);

// {"type": "ByteLevel", ...}: cuts words as GPT-2 does, without a space before the text.
nlohmann::json byte_level_json(bool use_regex = true);

// An entry of added_tokens for a special token.
nlohmann::json special_token_json(int64_t id, const std::string& content);

}  // namespace formwork
