#include "formwork/text/tokenizer.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/text/byte_tokenizer.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/pipeline_tokenizer.h"

namespace formwork {

std::string Tokenizer::decode(const std::vector<int64_t>& ids, bool skip_special) const {
  std::string text;
  for (const int64_t id : ids)
    if (!(skip_special && is_special(id))) text += token(id);
  return text;
}

Encoding Tokenizer::encode_for_model(std::string_view text, std::optional<std::string_view> second) const {
  Encoding result{encode(text), {}};
  result.types.resize(result.ids.size());
  if (!second) return result;
  const std::vector<int64_t> more = encode(*second);
  result.ids.insert(result.ids.end(), more.begin(), more.end());
  result.types.resize(result.ids.size(), 1);
  return result;
}

void Tokenizer::save(const std::filesystem::path& path) const {
  write_atomically(path, to_json().dump(1) + "\n");
}

std::unique_ptr<Tokenizer> tokenizer_from_json(nlohmann::json content, std::string_view where) {
  const nlohmann::json& model = field(content, "model", where);
  const bool bytes = content.contains("pre_tokenizer") && ends_in_byte_level(content["pre_tokenizer"]);
  auto made = make_token_model(model, bytes ? ByteForm::raw : ByteForm::printable, where);
  content["model"] = nullptr;  // large, and no longer needed
  auto tokenizer = std::make_unique<PipelineTokenizer>(std::move(content), std::move(made), where);
  if (ByteTokenizer::matches(*tokenizer)) return byte_tokenizer();
  return tokenizer;
}

}  // namespace formwork
