#include "formwork/text/tokenizer.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/text/bpe_json.h"
#include "formwork/text/bpe_tokenizer.h"
#include "formwork/text/byte_tokenizer.h"

namespace formwork {

std::string Tokenizer::decode(const std::vector<int64_t>& ids) const {
  std::string text;
  for (int64_t id : ids) text += token(id);
  return text;
}

void Tokenizer::save(const std::filesystem::path& path) const {
  write_atomically(path, to_json().dump(1) + "\n");
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const nlohmann::json& content, std::string_view where) {
  BpeModel model = bpe_model_from_json(content, where);
  if (ByteTokenizer::matches(model)) return std::make_unique<ByteTokenizer>();
  return std::make_unique<BpeTokenizer>(std::move(model));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  nlohmann::json content = nlohmann::json::parse(read_file(path), nullptr, false);
  if (content.is_discarded()) fail("{}: expected JSON, found something else", path.string());
  return tokenizer_from_json(content, path.string());
}

}  // namespace formwork
