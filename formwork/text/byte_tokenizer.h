// One token a byte: id = byte value, vocabulary 256.
#pragma once
#include "formwork/text/bpe_model.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

class ByteTokenizer : public Tokenizer {
 public:
  // A BPE model without merges whose ids are the byte values is this tokenizer.
  static bool matches(const BpeModel& model);

  std::string_view name() const override { return "byte"; }
  int64_t vocab_size() const override { return 256; }
  std::vector<int64_t> encode(std::string_view text) const override;
  std::string_view token(int64_t id) const override;
  nlohmann::json to_json() const override;
};

std::unique_ptr<Tokenizer> byte_tokenizer();

}  // namespace formwork
