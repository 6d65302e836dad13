// Whether the words that contextual decomposition ranks highest decide what an encoder says of a sentence: 2
// layers like BERT, width 64, on SST-2; words are deleted from sentences that it labels rightly.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

struct SentimentOptions {
  int64_t steps = 600, sentences = 200, words = 3;
  void describe(Fields& f) {
    f.integer("sentiment_steps", steps, "updates of the sentiment model", 1, 1000000);
    f.integer("sentences", sentences, "sentences that it labels rightly", 1, 872);
    f.integer("words", words, "words that are deleted from each", 1, 100);
  }
};

std::vector<Claim> cdt_sentiment_claims(StudyContext& ctx, const SentimentOptions& options);

}  // namespace formwork
