// SentencePiece model files (*.model), a protocol buffer; read by a small strict reader of the wire format.
#pragma once
#include <filesystem>
#include <string_view>

#include "formwork/text/formats/tokenizer_parts.h"

namespace formwork {

// The pieces, their scores and types, and how text is normalized. Throws Error, starting with `where`, for
// anything that is not such a file, and for word and character models.
TokenizerParts parts_from_sentencepiece(std::string_view bytes, std::string_view where);

}  // namespace formwork
