// How often each word of a text occurs, after cleaning and cutting.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formwork/text/normalizers/normalizer.h"
#include "formwork/text/pre_tokenizers/pre_tokenizer.h"

namespace formwork {

// Line by line, in the order of first appearance.
std::vector<std::pair<std::string, int64_t>> word_counts(std::string_view text, const Normalizer& normalizer,
                                                         const PreTokenizer& pre_tokenizer);

}  // namespace formwork
