// The tokenizer inside a GGUF file as the text of a tokenizer.json, and back.
#pragma once
#include <filesystem>
#include <string>

#include "formwork/core/tensor.h"
#include "formwork/interop/gguf_writer.h"

namespace formwork {

// For byte-level BPE (tokenizer.ggml.model "gpt2") with the pre-tokenizers gpt-2, smollm, llama-bpe and
// qwen2. An Error names what it is instead.
std::string gguf_tokenizer_json(const std::filesystem::path& path);

// Adds the tokenizer that a Spec's meta holds or names, and the chat template that came with it: the entries
// of the GGUF file that it names, or arrays made from a tokenizer.json with byte-level BPE. Without a
// tokenizer the file says so. What could not be written, in one line; empty: nothing.
std::string add_tokenizer(const Json& meta, GgufWriter& writer);

}  // namespace formwork
