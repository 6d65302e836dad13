// vocab.json and merges.txt: byte-level BPE as GPT-2, OPT, RoBERTa and BART store it where there is no
// tokenizer.json.
#pragma once
#include <filesystem>
#include <memory>

#include "formwork/text/formats/special_tokens.h"

namespace formwork {

// RoBERTa's form (<s> A </s>, and </s> </s> B </s> after it) where the folder's "tokenizer_class" says so, or
// names none and the vocabulary has <s>, </s> and <mask>; GPT-2's otherwise, with "add_bos_token" as OPT has
// it. Roles that no file names get their usual tokens. Throws Error for classes that cut words otherwise.
std::unique_ptr<Tokenizer> load_vocab_and_merges(const std::filesystem::path& folder, SpecialTokens& special);

}  // namespace formwork
