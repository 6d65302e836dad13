// The tokenizer that is written into a GGUF file.
#pragma once
#include <string>

#include "formwork/core/json.h"
#include "formwork/interop/gguf_writer.h"

namespace formwork {

// Adds the tokenizer that a Spec's meta holds or names, and the chat template that came with it: the entries
// of the GGUF file that it names, or arrays made from a tokenizer.json with byte-level BPE. Without a
// tokenizer the file says so. What could not be written, in one line; empty: nothing.
std::string add_tokenizer(const Json& meta, GgufWriter& writer);

}  // namespace formwork
