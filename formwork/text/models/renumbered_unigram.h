// A Unigram model whose pieces have their ids in another vocabulary, as Marian's do: pieces come from a
// SentencePiece model, ids from the vocab.json beside it, which two languages may share. A piece that has no
// id there is unknown; a run of characters outside the pieces may still be a token of the vocabulary.
#pragma once
#include "formwork/text/models/unigram.h"

namespace formwork {

class RenumberedUnigram final : public TokenModel {
 public:
  // `unknown` is a token of `tokens`. Throws Error, starting with `where`, where it is none.
  RenumberedUnigram(Vocabulary tokens, const std::string& unknown, Unigram pieces, std::string_view where);

  std::string_view name() const override { return "unigram"; }
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;
  // {"type": "RenumberedUnigram", "unk_token": .., "vocab": {token: id}, "unk_id": .., "pieces": [[piece,
  // score], ..]}, which no other program reads.
  nlohmann::json to_json() const override;

 private:
  Unigram pieces_;
  std::vector<int32_t> ids_;  // of each piece, or `unknown_`
  int32_t unknown_;
};

}  // namespace formwork
