// tiktoken's ranks files: a line of base64 and a number for each token; lower ranks merge first.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/text/pre_tokenizers/word_split.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

// The file does not say how words are cut nor which special tokens follow: `special` get the ids after the
// largest rank. Throws Error, starting with `where`, for anything that is not such a file.
std::unique_ptr<Tokenizer> tokenizer_from_tiktoken(std::string_view text, std::string_view where,
                                                   WordPattern pattern = WordPattern::llama3,
                                                   const std::vector<std::string>& special = {});

}  // namespace formwork
