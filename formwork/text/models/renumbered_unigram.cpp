#include "formwork/text/models/renumbered_unigram.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"

namespace formwork {

using nlohmann::json;

RenumberedUnigram::RenumberedUnigram(Vocabulary tokens, const std::string& unknown, Unigram pieces,
                                     std::string_view where)
    : TokenModel(std::move(tokens)), pieces_(std::move(pieces)), unknown_(vocabulary().find(unknown)) {
  if (unknown_ < 0) fail("{}: expected the unknown token '{}' in the vocabulary, found none", where, unknown);
  for (int64_t id = 0; id < pieces_.vocabulary().size(); ++id) {
    const int32_t here = vocabulary().find(pieces_.vocabulary().text(id));
    ids_.push_back(here < 0 ? unknown_ : here);
  }
}

void RenumberedUnigram::encode(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t first = ids.size();
  pieces_.cut(word, [&](const Unigram::Piece& piece) {
    const int32_t id = piece.id >= 0 ? ids_[static_cast<size_t>(piece.id)] : vocabulary().find(piece.text);
    ids.push_back(id < 0 ? unknown_ : id);
  });
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
}

json RenumberedUnigram::to_json() const {
  const json pieces = pieces_.to_json();
  return {{"type", "RenumberedUnigram"},
          {"unk_token", vocabulary().text(unknown_)},
          {"vocab", vocabulary_to_json(vocabulary())},
          {"unk_id", pieces["unk_id"]},
          {"pieces", pieces["vocab"]}};
}

std::unique_ptr<TokenModel> make_renumbered_unigram(const json& content, std::string_view where) {
  Vocabulary pieces;
  std::vector<double> scores = scored_pieces(list_field(content, "pieces", where), pieces, where);
  const int64_t unknown = count_field(content, "unk_id", 0, where);
  return std::make_unique<RenumberedUnigram>(
      vocabulary_from_json(field(content, "vocab", where), where), text_field(content, "unk_token", where),
      Unigram(std::move(pieces), std::move(scores), unknown, false, Unigram::Sums::float32, where), where);
}

}  // namespace formwork
