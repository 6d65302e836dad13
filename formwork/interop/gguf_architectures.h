// The architectures of GGUF files that Formwork reads and writes: llama (with what llama.cpp turns into it:
// Mistral, SmolLM, TinyLlama), qwen2, gpt2, gemma, gemma2. An architecture turns metadata into the model of a
// Spec, and a model into metadata. Metadata are here a JSON object: the file's scalars by their keys without
// the architecture's name before them, and
//   "vocab"  tokens          "tied"  whether there is no tensor "output.weight" of its own
#pragma once
#include <string>
#include <vector>

#include "formwork/core/options.h"

namespace formwork {

const std::vector<std::string>& gguf_architectures();

// The model ("model" of a Spec). Queries, keys and values are maps of their own where the file has them
// apart, and rotary pairs lie as the file has them, so that no weight has to be moved. An Error names `where`
// and the key that is missing, has a value of another kind, or asks for something that the model would not
// do.
Json gguf_model(const std::string& architecture, const Json& metadata, const std::string& where);

// Metadata of a model, with every option in force, as far as this architecture can tell; null where it has
// another form. The caller reads them back and compares.
Json gguf_metadata(const std::string& architecture, const Json& model);

// Whether rotary pairs are (2 i, 2 i + 1) of a head's rows; otherwise (i, i + half).
bool gguf_interleaved(const std::string& architecture);

// The file's name of a map, norm or position by its path ("layers.3.mixer.query": "blk.3.attn_q"), and the
// reverse; empty: none.
std::string gguf_name(const std::string& path);
std::string path_of_gguf(const std::string& architecture, const std::string& name);

}  // namespace formwork
