#include "formwork/text/models/wordpiece_trainer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "formwork/core/error.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/models/pair_counts.h"
#include "formwork/text/models/word_counts.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;

constexpr std::string_view inside = "##";

// Tokens in the order of their ids.
class Pieces {
 public:
  int32_t add(const std::string& text) {
    const auto [place, is_new] = ids_.try_emplace(text, static_cast<int32_t>(texts.size()));
    if (is_new) texts.push_back(text);
    return place->second;
  }
  int32_t find(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }
  std::vector<std::string> texts;

 private:
  std::unordered_map<std::string, int32_t> ids_;
};

std::vector<std::string> piece_texts(std::string_view word) {
  std::vector<std::string> pieces;
  for (size_t at = 0; at < word.size();) {
    const auto bytes = static_cast<size_t>(next_code_point(word, at).bytes);
    pieces.push_back(std::string(at > 0 ? inside : "").append(word.substr(at, bytes)));
    at += bytes;
  }
  return pieces;
}

// The most frequent characters first, of equal ones in the order of their texts, as long as there is room.
void add_characters(Pieces& pieces, const std::vector<std::pair<std::string, int64_t>>& words, size_t room) {
  std::map<std::string, int64_t> counts;
  for (const auto& [word, count] : words)
    for (const std::string& piece : piece_texts(word)) counts[piece] += count;
  std::vector<std::pair<int64_t, std::string>> order;
  for (const auto& [piece, count] : counts) order.emplace_back(-count, piece);
  std::sort(order.begin(), order.end());
  if (order.size() > room) order.resize(room);
  for (const auto& [count, piece] : order) pieces.add(piece);
}

std::vector<CountedWord> cut(const Pieces& pieces,
                             const std::vector<std::pair<std::string, int64_t>>& words) {
  std::vector<CountedWord> result;
  for (const auto& [word, count] : words) {
    CountedWord counted{{}, count};
    for (const std::string& piece : piece_texts(word)) counted.pieces.push_back(pieces.find(piece));
    const bool known = std::find(counted.pieces.begin(), counted.pieces.end(), -1) == counted.pieces.end();
    if (known) result.push_back(std::move(counted));
  }
  return result;
}

}  // namespace

std::unique_ptr<Tokenizer> train_wordpiece(std::string_view text, const WordPieceTraining& options) {
  constexpr std::string_view where = "a trained tokenizer";
  Pieces pieces;
  json added = json::array();
  for (const std::string& token : options.special)
    added.push_back(special_token_json(pieces.add(token), token));
  for (const char* needed : {"[UNK]", "[CLS]", "[SEP]"})
    if (pieces.find(needed) < 0) fail("expected the special token {}, found none", needed);
  const auto size = static_cast<size_t>(std::max<int64_t>(options.vocab_size, 0));
  if (size <= pieces.texts.size())
    fail("expected a WordPiece vocabulary of more than {} special tokens, found {}", pieces.texts.size(),
         options.vocab_size);
  const json normalizer = {{"type", "BertNormalizer"}, {"lowercase", options.lowercase}};
  const json pre_tokenizer = {{"type", "BertPreTokenizer"}};
  const auto words = word_counts(text, *make_normalizer(normalizer, where), *make_bert_pre_tokenizer());
  add_characters(pieces, words, size - pieces.texts.size());
  PairCounts counts(cut(pieces, words));
  while (pieces.texts.size() < size) {
    const PairCounts::Best best = counts.best();
    if (best.count < std::max<int64_t>(options.min_count, 1)) break;
    const std::string joined =
        pieces.texts[best.pair.first] + pieces.texts[best.pair.second].substr(inside.size());
    counts.merge(best.pair, pieces.add(joined));
  }
  json vocab = json::object();
  for (size_t id = 0; id < pieces.texts.size(); ++id) vocab[pieces.texts[id]] = id;
  const auto named = [&](const char* token) { return json{token, pieces.find(token)}; };
  json content = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", normalizer},
      {"pre_tokenizer", pre_tokenizer},
      {"post_processor", {{"type", "BertProcessing"}, {"cls", named("[CLS]")}, {"sep", named("[SEP]")}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", inside}, {"cleanup", true}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
        {"continuing_subword_prefix", inside},
        {"max_input_chars_per_word", 100},
        {"vocab", std::move(vocab)}}}};
  return tokenizer_from_json(std::move(content), where);
}

}  // namespace formwork
