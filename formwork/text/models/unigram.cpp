#include "formwork/text/models/unigram.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {

using nlohmann::json;

Unigram::Unigram(Vocabulary tokens, std::vector<double> scores, std::optional<int64_t> unknown,
                 bool byte_fallback, Sums sums, std::string_view where)
    : TokenModel(std::move(tokens)), scores_(std::move(scores)), byte_fallback_(byte_fallback), sums_(sums) {
  constexpr double unknown_penalty = 10;
  if (unknown && !vocabulary().has(*unknown))
    fail("{}: expected unk_id in [0, {}), found {}", where, vocabulary().size(), *unknown);
  unknown_ = static_cast<int32_t>(unknown.value_or(-1));
  double least = std::numeric_limits<double>::infinity();
  for (int64_t id = 0; id < vocabulary().size(); ++id) {
    trie_.add(vocabulary().text(id), static_cast<int32_t>(id));
    least = std::min(least, scores_[static_cast<size_t>(id)]);
  }
  unknown_score_ = least - unknown_penalty;
  if (byte_fallback) fallback_ids_ = byte_fallback_ids(vocabulary());
}

std::vector<Unigram::Node> Unigram::best_ways(std::string_view word) const {
  if (word.size() > 0x7FFFFFFE) fail("expected a word of less than 2 GB, found {} bytes", word.size());
  std::vector<Node> nodes(word.size() + 1);
  for (size_t at = 0; at < word.size();) {
    const auto width = static_cast<size_t>(next_code_point(word, at).bytes);
    const double here = nodes[at].score;
    bool has_single = false;
    const auto offer = [&](size_t length, int32_t id, double score) {
      Node& node = nodes[at + length];
      double sum = score + here;
      if (sums_ == Sums::float32) sum = static_cast<float>(sum);
      if (node.start < 0 || sum > node.score) node = {sum, id, static_cast<int32_t>(at)};
    };
    trie_.prefixes(word, at, [&](size_t length, int32_t id) {
      offer(length, id, scores_[static_cast<size_t>(id)]);
      has_single |= length == width;
    });
    if (!has_single) {
      if (unknown_ < 0)
        fail("the character '{}' is not in the vocabulary, which has no unknown token",
             utf8_replaced(word.substr(at, width)));
      offer(width, unknown_, unknown_score_);
    }
    at += width;
  }
  return nodes;
}

// An unknown piece may still be a token as a whole, when neighbours were fused.
void Unigram::add_unknown(std::string_view piece, std::vector<int32_t>& ids) const {
  const int32_t id = vocabulary().find(piece);
  if (id >= 0) return ids.push_back(id);
  if (fallback_ids_.empty()) return ids.push_back(unknown_);
  for (size_t i = piece.size(); i-- > 0;) ids.push_back(fallback_ids_[static_cast<uint8_t>(piece[i])]);
}

Unigram::Piece Unigram::last_piece(std::string_view word, const std::vector<Node>& nodes, size_t end) const {
  auto start = static_cast<size_t>(nodes[end].start);
  const bool known = nodes[end].id != unknown_;
  while (!known && start > 0 && nodes[start].id == unknown_) start = static_cast<size_t>(nodes[start].start);
  return {word.substr(start, end - start), known ? nodes[end].id : -1};
}

void Unigram::encode(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t first = ids.size();
  cut(word, [&](const Piece& piece) {
    if (piece.id >= 0)
      ids.push_back(piece.id);
    else
      add_unknown(piece.text, ids);
  });
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
}

json Unigram::to_json() const {
  json vocab = json::array();
  for (int64_t id = 0; id < vocabulary().size(); ++id)
    vocab.push_back({vocabulary().text(id), scores_[static_cast<size_t>(id)]});
  return {{"type", "Unigram"},
          {"unk_id", unknown_ < 0 ? json() : json(unknown_)},
          {"byte_fallback", byte_fallback_},
          {"vocab", std::move(vocab)}};
}

std::vector<double> scored_pieces(const json& list, Vocabulary& vocabulary, std::string_view where) {
  size_t bytes = 0;
  for (const json& entry : list)
    if (entry.is_array() && !entry.empty() && entry[0].is_string())
      bytes += entry[0].get_ref<const std::string&>().size();
  vocabulary.reserve(list.size(), bytes);
  std::vector<double> scores;
  for (const json& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      fail("{}: expected a token and its score, found {}", where, shown(entry));
    vocabulary.add(static_cast<int64_t>(scores.size()), entry[0].get_ref<const std::string&>(), where);
    scores.push_back(entry[1].get<double>());
  }
  return scores;
}

std::unique_ptr<TokenModel> make_unigram(const json& content, std::string_view where) {
  Vocabulary vocabulary;
  std::vector<double> scores = scored_pieces(list_field(content, "vocab", where), vocabulary, where);
  std::optional<int64_t> unknown;
  if (content.contains("unk_id") && !content["unk_id"].is_null())
    unknown = count_field(content, "unk_id", 0, where);
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), unknown,
                                   flag_field(content, "byte_fallback", false, where), Unigram::Sums::float64,
                                   where);
}

}  // namespace formwork
