// load_tokenizer: finds the files of a tokenizer in a model's folder.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/text/formats/marian_files.h"
#include "formwork/text/formats/sentencepiece_file.h"
#include "formwork/text/formats/special_tokens.h"
#include "formwork/text/formats/tiktoken_file.h"
#include "formwork/text/formats/vocab_and_merges.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/tokenizer.h"

namespace formwork {
namespace {

using nlohmann::json;
using std::filesystem::path;

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

// The files that make a tokenizer, those that say most first; the others of a group lie beside the first.
constexpr std::array<std::array<const char*, 2>, 7> kFiles = {{{"tokenizer.json"},
                                                               {"source.spm", "vocab.json"},
                                                               {"tokenizer.model"},
                                                               {"spiece.model"},
                                                               {"sentencepiece.bpe.model"},
                                                               {"vocab.txt"},
                                                               {"vocab.json", "merges.txt"}}};

// The first of the files of the tokenizer that a folder holds; empty where it holds none.
std::string first_file(const path& folder) {
  for (const auto& group : kFiles)
    if (std::all_of(group.begin(), group.end(),
                    [&](const char* name) { return !name || std::filesystem::exists(folder / name); }))
      return group.front();
  return "";
}

std::unique_ptr<Tokenizer> load_folder(const path& folder, const std::string& file, SpecialTokens& special) {
  if (file == "source.spm") return load_marian_files(folder, special);
  if (file == "vocab.json") return load_vocab_and_merges(folder, special);
  return load_file(folder / file, special.config());
}

}  // namespace

bool has_tokenizer(const path& folder) { return !first_file(folder).empty(); }

std::unique_ptr<Tokenizer> load_tokenizer(const path& given) {
  if (!std::filesystem::is_directory(given)) return load_file(given, json::object());
  const std::string file = first_file(given);
  if (file.empty())
    fail(
        "{}: expected tokenizer.json, tokenizer.model, spiece.model, vocab.txt, vocab.json with merges.txt, "
        "or "
        "source.spm with vocab.json, found none of them",
        given.string());
  SpecialTokens special(given);
  auto tokenizer = load_folder(given, file, special);
  SpecialIds ids = tokenizer->special();
  special.read_ids(*tokenizer, ids);
  tokenizer->set_special(ids);
  return tokenizer;
}

}  // namespace formwork
