#include "formwork/text/formats/marian_files.h"

#include <nlohmann/json.hpp>

#include "formwork/core/json_text.h"
#include "formwork/text/formats/sentence_pieces.h"
#include "formwork/text/formats/sentencepiece_file.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/models/renumbered_unigram.h"
#include "formwork/text/pipeline_tokenizer.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;
using std::filesystem::path;

// The pieces that text becomes: those of control, unused and byte tokens are left out.
Unigram source_pieces(const TokenizerParts& parts, const std::string& where) {
  if (parts.model != "t5") fail("{}: expected a Unigram model, found BPE", where);
  Vocabulary vocabulary;
  std::vector<double> scores;
  std::optional<int64_t> unknown;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const auto type = static_cast<TokenType>(parts.types[id]);
    if (type == TokenType::unknown) unknown = vocabulary.size();
    if (type != TokenType::normal && type != TokenType::user_defined && type != TokenType::unknown) continue;
    vocabulary.add(vocabulary.size(), utf8_replaced(parts.tokens[id]), where);
    scores.push_back(parts.scores[id]);
  }
  if (!unknown) fail("{}: expected a piece for what is unknown, found none", where);
  return Unigram(std::move(vocabulary), std::move(scores), unknown, false, Unigram::Sums::float32, where);
}

json added_tokens(const SpecialTokens& special, const json& vocab) {
  json list = special.added_tokens(vocab);
  for (const auto& [token, id] : vocab.items()) {
    if (!token.starts_with(">>") || !token.ends_with("<<") || token.size() < 5 || !id.is_number_integer())
      continue;
    list.push_back(special_token_json(id.get<int64_t>(), token));
    list.back()["special"] = false;
  }
  return list;
}

json end_after_text(const std::string& end, const json& vocab, const std::string& where) {
  if (!vocab.contains(end)) fail("{}: expected the end token '{}', found none", where, end);
  const json token = {{"SpecialToken", {{"id", end}, {"type_id", 0}}}};
  const auto text = [](const char* id) { return json{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
  return {{"type", "TemplateProcessing"},
          {"single", {text("A"), token}},
          {"pair", {text("A"), text("B"), token}},
          {"special_tokens", {{end, {{"id", end}, {"ids", {vocab[end]}}, {"tokens", {end}}}}}}};
}

}  // namespace

std::unique_ptr<Tokenizer> load_marian_files(const path& folder, SpecialTokens& special) {
  const std::string where = (folder / "vocab.json").string(), source = (folder / "source.spm").string();
  if (flag_field(special.config(), "separate_vocabs", false, where))
    fail("{}: 'separate_vocabs': expected one vocabulary of both languages, found two",
         (folder / "tokenizer_config.json").string());
  for (const auto& [role, content] :
       {std::pair("unk_token", "<unk>"), std::pair("eos_token", "</s>"), std::pair("pad_token", "<pad>")})
    special.set_default(role, content);
  const json vocab = read_json<json>(folder / "vocab.json");
  const auto parts = parts_from_sentencepiece(read_file(source), source);
  auto model = std::make_unique<RenumberedUnigram>(
      vocabulary_from_json(vocab, where), special.role("unk_token"), source_pieces(parts, source), where);
  json rest = {{"version", "1.0"},
               {"added_tokens", added_tokens(special, vocab)},
               {"normalizer", sentence_piece_normalizer(parts)},
               {"pre_tokenizer", nullptr},
               {"post_processor", end_after_text(special.role("eos_token"), vocab, where)},
               {"decoder", sentence_piece_decoder(parts)}};
  return std::make_unique<PipelineTokenizer>(std::move(rest), std::move(model), where);
}

}  // namespace formwork
