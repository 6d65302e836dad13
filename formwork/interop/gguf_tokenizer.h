// The tokenizer inside a GGUF file, and one written into it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "formwork/core/tensor.h"
#include "formwork/interop/gguf_writer.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

// From the keys tokenizer.ggml.*; an Error names the file and what is not known or missing.
std::unique_ptr<Tokenizer> gguf_tokenizer(const std::filesystem::path& path);

// The chat template in a GGUF file; empty where it has none.
std::string gguf_chat_template(const std::filesystem::path& path);

// Writes what a GGUF file says about text as a Hugging Face folder says it: tokenizer.json, and
// tokenizer_config.json with the special tokens and the chat template; nothing where it has no tokenizer.
void unpack_gguf_tokenizer(const std::filesystem::path& path, const std::filesystem::path& folder);

// Adds the tokenizer that a Spec's meta holds or names, and the chat template that came with it: the entries
// of the GGUF file that it names, or arrays made from a tokenizer.json with byte-level BPE. Without a
// tokenizer the file says so. What could not be written, in one line; empty: nothing.
std::string add_tokenizer(const Json& meta, GgufWriter& writer);

}  // namespace formwork
