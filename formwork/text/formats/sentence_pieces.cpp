#include "formwork/text/formats/sentence_pieces.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/models/bpe.h"
#include "formwork/text/models/unigram.h"
#include "formwork/text/normalizers/charsmap.h"
#include "formwork/text/pipeline_tokenizer.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;

constexpr const char* mark = "\xE2\x96\x81";

TokenType type_of_piece(const TokenizerParts& parts, size_t id) {
  return parts.types.empty() ? TokenType::normal : static_cast<TokenType>(parts.types[id]);
}

Vocabulary read_vocabulary(const TokenizerParts& parts, std::string_view where) {
  Vocabulary vocabulary;
  size_t bytes = 0;
  for (const std::string& token : parts.tokens) bytes += token.size();
  vocabulary.reserve(parts.tokens.size(), bytes);
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    vocabulary.add(static_cast<int64_t>(id), utf8_replaced(parts.tokens[id]), where);
  return vocabulary;
}

// Pieces by falling score: equal scores share a rank. Pieces that no text becomes have none.
std::vector<int32_t> ranks_by_score(const TokenizerParts& parts) {
  std::vector<size_t> order;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const TokenType type = type_of_piece(parts, id);
    if (type == TokenType::normal || type == TokenType::user_defined || type == TokenType::unused)
      order.push_back(id);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return parts.scores[a] > parts.scores[b]; });
  std::vector<int32_t> ranks(parts.tokens.size(), -1);
  int32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && parts.scores[order[i]] != parts.scores[order[i - 1]]) ++rank;
    ranks[order[i]] = rank;
  }
  return ranks;
}

std::optional<int64_t> unknown_id(const TokenizerParts& parts) {
  if (parts.special.unk) return parts.special.unk;
  for (size_t id = 0; id < parts.types.size(); ++id)
    if (type_of_piece(parts, id) == TokenType::unknown) return static_cast<int64_t>(id);
  return std::nullopt;
}

bool has_byte_pieces(const TokenizerParts& parts) {
  return std::any_of(parts.types.begin(), parts.types.end(),
                     [](int32_t type) { return type == static_cast<int32_t>(TokenType::byte); });
}

std::unique_ptr<TokenModel> make_model(const TokenizerParts& parts, std::string_view where) {
  Vocabulary vocabulary = read_vocabulary(parts, where);
  const auto unknown = unknown_id(parts);
  if (unknown && !vocabulary.has(*unknown))
    fail("{}: expected the unknown token's id in [0, {}), found {}", where, vocabulary.size(), *unknown);
  if (parts.model == "t5")
    return std::make_unique<Unigram>(std::move(vocabulary),
                                     std::vector<double>(parts.scores.begin(), parts.scores.end()), unknown,
                                     has_byte_pieces(parts), Unigram::Sums::float32, where);
  const Bpe::Merges merges = merges_by_token(vocabulary, ranks_by_score(parts));
  BpeOptions options;
  if (unknown) options.unknown = std::string(vocabulary.text(*unknown));
  options.fuse_unknown = true;
  options.byte_fallback = has_byte_pieces(parts);
  return std::make_unique<Bpe>(std::move(vocabulary), merges, options, where);
}

json replace(const json& pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", pattern}, {"content", content}};
}

}  // namespace

json sentence_piece_normalizer(const TokenizerParts& parts) {
  json list = json::array();
  if (!parts.precompiled_charsmap.empty())
    list.push_back({{"type", "Precompiled"},
                    {"precompiled_charsmap", to_base64(parts.precompiled_charsmap)},
                    {"longest_match", true}});
  if (parts.remove_extra_whitespaces) {
    list.push_back(replace({{"Regex", "^ +| +$"}}, ""));
    list.push_back(replace({{"Regex", " {2,}"}}, " "));
  }
  if (parts.add_space_prefix) list.push_back({{"type", "Prepend"}, {"prepend", mark}});
  list.push_back(replace({{"String", " "}}, mark));
  return {{"type", "Sequence"}, {"normalizers", list}};
}

json sentence_piece_decoder(const TokenizerParts& parts) {
  json list = {replace({{"String", mark}}, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (parts.add_space_prefix)
    list.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", list}};
}

std::unique_ptr<Tokenizer> make_sentence_pieces(const TokenizerParts& parts, std::string_view where) {
  if (parts.scores.size() != parts.tokens.size())
    fail("{}: expected a score for each of {} tokens, found {}", where, parts.tokens.size(),
         parts.scores.size());
  json rest = {{"version", "1.0"},
               {"added_tokens", added_tokens_json(parts, where)},
               {"normalizer", sentence_piece_normalizer(parts)},
               {"pre_tokenizer", nullptr},
               {"post_processor", surroundings(parts, parts.add_bos.value_or(parts.model == "llama"),
                                               parts.add_eos.value_or(parts.model == "t5"), where)},
               {"decoder", sentence_piece_decoder(parts)}};
  return std::make_unique<PipelineTokenizer>(std::move(rest), make_model(parts, where), where);
}

}  // namespace formwork
