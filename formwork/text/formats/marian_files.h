// Marian's files: source.spm cuts texts of the source language into pieces, vocab.json gives their ids, which
// both languages share. Texts are encoded as those of the source; tokens of either language are decoded.
#pragma once
#include <filesystem>
#include <memory>

#include "formwork/text/formats/special_tokens.h"

namespace formwork {

// </s> follows a text. A language code of the vocabulary (">>fr<<") is a token wherever it stands.
// Punctuation stays as it is: what sacremoses would change before has to be changed by the caller. Throws
// Error for a target language with a vocabulary of its own, and for pieces that are no Unigram model.
std::unique_ptr<Tokenizer> load_marian_files(const std::filesystem::path& folder, SpecialTokens& special);

}  // namespace formwork
