// One token a byte: id = byte value, vocabulary 256.
#pragma once
#include "formwork/text/tokenizer.h"

namespace formwork {

class PipelineTokenizer;

class ByteTokenizer : public Tokenizer {
 public:
  // A byte-level BPE without merges and added tokens whose ids are the byte values is this tokenizer.
  static bool matches(const PipelineTokenizer& tokenizer);

  std::string_view name() const override { return "byte"; }
  int64_t vocab_size() const override { return 256; }
  std::vector<int64_t> encode(std::string_view text) const override;
  std::string token(int64_t id) const override;
  std::string piece(int64_t id) const override;
  std::optional<int64_t> id_of(std::string_view piece) const override;
  nlohmann::json to_json() const override;
};

std::unique_ptr<Tokenizer> byte_tokenizer();

}  // namespace formwork
