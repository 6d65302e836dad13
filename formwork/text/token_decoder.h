// Decoders: turn the texts of tokens back into one text. Types and meanings are those of `tokenizer.json`:
// ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, BPEDecoder, Sequence.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  // Changes the texts of tokens, in order; joined they are the decoded text.
  virtual void decode(std::vector<std::string>& texts) const = 0;
};

// Throws Error, starting with `where`, for an unknown type or wrong options.
std::unique_ptr<TokenDecoder> make_token_decoder(const nlohmann::json& content, std::string_view where,
                                                 int depth = 0);

// The byte that a token of the form <0xE9> stands for, or -1.
int fallback_byte(std::string_view token);

}  // namespace formwork
