// What each token of a row contributes to a model's answer, by contextual decomposition (CD-T): the relevant
// side of the stream is the tokens of a source at the input of a layer, and zero elsewhere; one pass of
// splits (core/split.h) carries it to the logits. The score of a source for a label a against a foil b is
//
//   relevant_logit[a] - relevant_logit[b]       at the last token, or of the row for a classifier
//
// With sign repair the rules are not linear: scores of disjoint sources do not add up to that of their union.
// Source: Mechanistic Interpretation through Contextual Decomposition in Transformers (2024).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "formwork/core/split.h"
#include "formwork/models/model.h"

namespace formwork {

using Places = std::vector<int64_t>;  // tokens of a row, from 0

struct TokenOptions {
  SplitRules rules;
  int64_t level = 0;                   // the layer whose input is split
  int64_t chunk = 64;                  // sources of a pass
  std::optional<int64_t> label, foil;  // absent: the greatest logit, and the greatest other
};

struct TokenScores {
  int64_t label = 0, foil = 0;
  double difference = 0;       // logit[label] - logit[foil]
  std::vector<double> scores;  // of each source
  double error = 0;            // the most that the two sides' sum is off the logits
};

// Row b of a batch without its padding, as a batch of one.
Record real_row(const Record& batch, int64_t row);
// The places of row b among all its tokens that are real; empty: all are.
std::vector<int64_t> real_places(const Record& batch, int64_t row);

// `row`: a batch of one without padding. Fails for a source beyond its tokens, a layer that is not there, a
// label or foil beyond the logits, and a label that is its own foil.
TokenScores token_contributions(Model& model, const Record& row, const std::vector<Places>& sources,
                                const TokenOptions& options);

// Tokens 0 .. count - 1 in disjoint blocks of `size`, the last one shorter where they do not divide.
std::vector<Places> blocks_of(int64_t count, int64_t size);

}  // namespace formwork
