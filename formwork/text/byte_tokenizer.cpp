#include "formwork/text/byte_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/models/bpe.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/pipeline_tokenizer.h"
#include "formwork/text/unicode/byte_level.h"

namespace formwork {

bool ByteTokenizer::matches(const PipelineTokenizer& tokenizer) {
  const auto* bpe = dynamic_cast<const Bpe*>(&tokenizer.model());
  if (!bpe || tokenizer.vocab_size() != 256 || !tokenizer.lossless() || !bpe->merges().empty()) return false;
  for (int byte = 0; byte < 256; ++byte)
    if (tokenizer.is_special(byte) ||
        tokenizer.piece(byte) != to_byte_level(std::string(1, static_cast<char>(byte))))
      return false;
  return true;
}

std::vector<int64_t> ByteTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> ids(text.size());
  std::transform(text.begin(), text.end(), ids.begin(), [](char c) { return static_cast<uint8_t>(c); });
  return ids;
}

std::string ByteTokenizer::token(int64_t id) const {
  if (id < 0 || id >= 256) fail("expected a token id in [0, 256), found {}", id);
  return {static_cast<char>(id)};
}

std::string ByteTokenizer::piece(int64_t id) const { return to_byte_level(token(id)); }

std::optional<int64_t> ByteTokenizer::id_of(std::string_view piece) const {
  const auto bytes = from_byte_level(piece);
  if (!bytes || bytes->size() != 1) return std::nullopt;
  return static_cast<uint8_t>((*bytes)[0]);
}

nlohmann::json ByteTokenizer::to_json() const {
  BpeModel model;
  for (int byte = 0; byte < 256; ++byte) model.tokens.emplace_back(1, static_cast<char>(byte));
  return bpe_model_to_json(model);
}

std::unique_ptr<Tokenizer> byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

}  // namespace formwork
