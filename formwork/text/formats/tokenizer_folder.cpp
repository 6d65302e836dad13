// load_tokenizer: finds the files of a tokenizer in a model's folder.
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/formats/sentencepiece_file.h"
#include "formwork/text/formats/tiktoken_file.h"
#include "formwork/text/tokenizer.h"

namespace formwork {
namespace {

using nlohmann::json;
using std::filesystem::path;

json read_json_if_there(const path& file) {
  return std::filesystem::exists(file) ? read_json<json>(file) : json::object();
}

// "<s>" or {"content": "<s>", ...}
std::optional<std::string> token_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"].get<std::string>();
  return std::nullopt;
}

void read_special(const json& content, const Tokenizer& tokenizer, SpecialIds& ids) {
  const std::pair<const char*, std::optional<int64_t> SpecialIds::*> roles[] = {
      {"bos_token", &SpecialIds::bos},  {"eos_token", &SpecialIds::eos}, {"pad_token", &SpecialIds::pad},
      {"unk_token", &SpecialIds::unk},  {"cls_token", &SpecialIds::cls}, {"sep_token", &SpecialIds::sep},
      {"mask_token", &SpecialIds::mask}};
  if (!content.is_object()) return;
  for (const auto& [key, role] : roles)
    if (content.contains(key))
      if (const auto text = token_text(content[key]))
        if (const auto id = tokenizer.id_of(*text)) ids.*role = id;
}

// A vocab.txt of BERT: one token a line.
std::unique_ptr<Tokenizer> load_vocab_text(const path& file, const json& config) {
  const std::string text = read_file(file), where = file.string();
  json vocab = json::object(), added = json::array();
  int64_t id = 0;
  for (size_t at = 0; at < text.size(); ++id) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string token = text.substr(at, end - at);
    if (token.ends_with('\r')) token.pop_back();
    at = end + 1;
    if (token.starts_with('[') && token.ends_with(']') && token.size() > 3 && !token.starts_with("[unused"))
      added.push_back(special_token_json(id, token));
    vocab[token] = id;
  }
  if (!json::accept(vocab.dump(-1, ' ', false, json::error_handler_t::replace)))
    fail("{}: expected a token a line in UTF-8", where);
  const auto token = [&](const char* name) {
    if (!vocab.contains(name)) fail("{}: expected the token {}, found none", where, name);
    return json{name, vocab[name]};
  };
  json normalizer = {{"type", "BertNormalizer"},
                     {"lowercase", flag_field(config, "do_lower_case", true, where)}};
  if (config.contains("strip_accents")) normalizer["strip_accents"] = config["strip_accents"];
  json content = {
      {"added_tokens", added},
      {"normalizer", normalizer},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor", {{"type", "BertProcessing"}, {"cls", token("[CLS]")}, {"sep", token("[SEP]")}}},
      {"decoder", {{"type", "WordPiece"}}},
      {"model", {{"type", "WordPiece"}, {"vocab", std::move(vocab)}}}};
  return tokenizer_from_json(std::move(content), where);
}

std::unique_ptr<Tokenizer> load_file(const path& file, const json& config) {
  const std::string where = file.string(), extension = file.extension().string();
  if (extension == ".model") {
    const auto bytes = read_file(file);
    return tokenizer_from_parts(parts_from_sentencepiece(bytes, where), where);
  }
  if (extension == ".tiktoken") return tokenizer_from_tiktoken(read_file(file), where);
  if (extension == ".txt") return load_vocab_text(file, config);
  return tokenizer_from_json(read_json<json>(file), where);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const path& given) {
  if (!std::filesystem::is_directory(given)) return load_file(given, json::object());
  const json config = read_json_if_there(given / "tokenizer_config.json");
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt"}) {
    if (!std::filesystem::exists(given / name)) continue;
    auto tokenizer = load_file(given / name, config);
    SpecialIds ids = tokenizer->special();
    read_special(read_json_if_there(given / "special_tokens_map.json"), *tokenizer, ids);
    read_special(config, *tokenizer, ids);
    tokenizer->set_special(ids);
    return tokenizer;
  }
  fail("{}: expected tokenizer.json, tokenizer.model, spiece.model or vocab.txt, found none of them",
       given.string());
}

}  // namespace formwork
