// Decoding token by token: gives out text as soon as it can no longer change.
#pragma once
#include <string>
#include <vector>

#include "formwork/text/tokenizer.h"

namespace formwork {

class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // The text that `id` completes; empty while a character is unfinished. All results, with finish() at the
  // end, join to decode(all ids).
  std::string add(int64_t id);
  std::string finish();

 private:
  std::string take(bool all);

  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::vector<int64_t> ids_;  // the last few: what comes out depends on what came before
  size_t told_ = 0;           // ids whose text is out
};

}  // namespace formwork
