// The tokenizer inside a GGUF file.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "formwork/text/tokenizer.h"

namespace formwork {

// From the keys tokenizer.ggml.*; an Error names the file and what is not known or missing.
std::unique_ptr<Tokenizer> gguf_tokenizer(const std::filesystem::path& path);

// The chat template in a GGUF file; empty where it has none.
std::string gguf_chat_template(const std::filesystem::path& path);

// Writes what a GGUF file says about text as a Hugging Face folder says it: tokenizer.json, and
// tokenizer_config.json with the special tokens and the chat template; nothing where it has no tokenizer.
void unpack_gguf_tokenizer(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace formwork
