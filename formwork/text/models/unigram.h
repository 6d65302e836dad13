// Unigram language model: of all ways to cut a word into tokens, the one with the greatest sum of scores (log
// probabilities). Subword Regularization (Kudo, 2018).
#pragma once
#include <optional>

#include "formwork/text/models/byte_trie.h"
#include "formwork/text/models/token_model.h"

namespace formwork {

class Unigram final : public TokenModel {
 public:
  // How scores are summed, which decides between ways of equal probability: SentencePiece sums in 32 bits,
  // the library of tokenizer.json in 64.
  enum class Sums { float32, float64 };

  // scores[id] for every id of the vocabulary. Throws Error when `unknown` is no id of it.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::optional<int64_t> unknown,
          bool byte_fallback, Sums sums, std::string_view where);

  std::string_view name() const override { return "unigram"; }
  // O(w l) for a word of w bytes and tokens of at most l.
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;
  nlohmann::json to_json() const override;

  // One token of a word, or a run of neighbouring characters that no token covers.
  struct Piece {
    std::string_view text;
    int32_t id;  // -1: unknown
  };
  // The word's pieces from its end to its beginning.
  template <class Visit>
  void cut(std::string_view word, Visit&& visit) const;

 private:
  struct Node {
    double score = 0;
    int32_t id = -1, start = -1;  // the last token of the best way here; start -1: not reached
  };
  std::vector<Node> best_ways(std::string_view word) const;
  Piece last_piece(std::string_view word, const std::vector<Node>& nodes, size_t end) const;
  void add_unknown(std::string_view piece, std::vector<int32_t>& ids) const;

  std::vector<double> scores_;
  int32_t unknown_ = -1;
  bool byte_fallback_;
  Sums sums_;
  std::vector<int32_t> fallback_ids_;
  double unknown_score_ = 0;
  ByteTrie trie_;
};

template <class Visit>
void Unigram::cut(std::string_view word, Visit&& visit) const {
  const std::vector<Node> nodes = best_ways(word);
  for (size_t end = word.size(); end > 0;) {
    const Piece piece = last_piece(word, nodes, end);
    visit(piece);
    end -= piece.text.size();
  }
}

// The pieces and scores of {"vocab": [["a", -1.5], ..]}, added to `vocabulary` from id 0 on.
std::vector<double> scored_pieces(const nlohmann::json& list, Vocabulary& vocabulary, std::string_view where);

}  // namespace formwork
