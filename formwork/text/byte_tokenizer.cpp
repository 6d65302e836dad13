#include "formwork/text/byte_tokenizer.h"

#include <array>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/bpe_json.h"

namespace formwork {
namespace {

const std::array<char, 256>& all_bytes() {
  static const std::array<char, 256> bytes = [] {
    std::array<char, 256> result{};
    for (int byte = 0; byte < 256; ++byte) result[byte] = static_cast<char>(byte);
    return result;
  }();
  return bytes;
}

BpeModel byte_model() {
  BpeModel model;
  for (char byte : all_bytes()) model.tokens.emplace_back(1, byte);
  return model;
}

}  // namespace

bool ByteTokenizer::matches(const BpeModel& model) {
  return model.merges.empty() && model.special.empty() && model.tokens == byte_model().tokens;
}

std::vector<int64_t> ByteTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> ids(text.size());
  std::transform(text.begin(), text.end(), ids.begin(), [](char c) { return static_cast<uint8_t>(c); });
  return ids;
}

std::string_view ByteTokenizer::token(int64_t id) const {
  if (id < 0 || id >= 256) fail("expected a token id in [0, 256), found {}", id);
  return {&all_bytes()[id], 1};
}

nlohmann::json ByteTokenizer::to_json() const { return bpe_model_to_json(byte_model()); }

std::unique_ptr<Tokenizer> byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

}  // namespace formwork
