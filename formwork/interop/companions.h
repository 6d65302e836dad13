// What comes with a model's weights and says how its text becomes tokens and how it is generated from: files
// of a folder, or entries of a GGUF file. A place is a folder, one of its tokenizer's files, or a .gguf file.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "formwork/core/json.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

// Throws Error, naming the file, where there is none or a broken one.
std::unique_ptr<Tokenizer> tokenizer_at(const std::filesystem::path& place);

// That which a model's meta holds, or names by its place; null where it does neither.
std::unique_ptr<Tokenizer> own_tokenizer(const Json& meta);

// In Jinja; empty where there is none.
std::string chat_template_at(const std::filesystem::path& place);

// Writes into `folder`, as the files of a Hugging Face folder, whatever the place has.
void copy_companions(const std::filesystem::path& place, const std::filesystem::path& folder);

}  // namespace formwork
