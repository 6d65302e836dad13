#include "formwork/text/tokenizer.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
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
  std::ofstream file(path, std::ios::binary);
  file << to_json().dump(1) << '\n';
  if (!file.flush()) fail("{}: could not write the tokenizer", path.string());
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const nlohmann::json& content, std::string_view where) {
  BpeModel model = bpe_model_from_json(content, where);
  if (ByteTokenizer::matches(model)) return std::make_unique<ByteTokenizer>();
  return std::make_unique<BpeTokenizer>(std::move(model));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: no such tokenizer file", path.string());
  nlohmann::json content;
  try {
    content = nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not JSON: {}", path.string(), error.what());
  }
  return tokenizer_from_json(content, path.string());
}

}  // namespace formwork
