// Words of a row of tokens: the pieces that a tokenizer cut a word into, together.
#pragma once
#include <string>
#include <vector>

#include "formwork/core/json.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

struct Word {
  std::vector<int64_t> places;  // of its tokens
  std::string text;
};

// What tokens and answers are called: by the tokenizer in a model's meta, by its symbols, or by their
// numbers.
class TokenNames {
 public:
  explicit TokenNames(const Json& meta);
  std::string name(int64_t id) const;
  // Of a logit: the label of a classifier, otherwise as a token.
  std::string answer(int64_t id) const;
  // One word a token where the model has no tokenizer. Otherwise a token belongs to the word before it unless
  // a space stands between them, or either is a special token.
  std::vector<Word> words(const std::vector<int64_t>& ids) const;

 private:
  bool begins_word(int64_t before, int64_t id) const;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> symbols_, labels_;
};

}  // namespace formwork
