// Tokenizers made of SentencePiece pieces, whether they come from a model file or from GGUF (SentencePiece,
// Kudo and Richardson, 2018).
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "formwork/text/formats/tokenizer_parts.h"

namespace formwork {

// parts.model "llama" (BPE: of all neighbours the pair that makes the piece with the highest score merges
// first) or "t5" (Unigram), with scores and types.
std::unique_ptr<Tokenizer> make_sentence_pieces(const TokenizerParts& parts, std::string_view where);

// How pieces see a text, and how their texts become one again: parts of a tokenizer.json.
nlohmann::json sentence_piece_normalizer(const TokenizerParts& parts);
nlohmann::json sentence_piece_decoder(const TokenizerParts& parts);

// Shared with tokenizer_parts.cpp: `added_tokens` of control, unknown and user-defined pieces, and a
// post-processor that adds the ids of the first and last token.
nlohmann::json added_tokens_json(const TokenizerParts& parts, std::string_view where);
nlohmann::json surroundings(const TokenizerParts& parts, bool bos, bool eos, std::string_view where);

}  // namespace formwork
