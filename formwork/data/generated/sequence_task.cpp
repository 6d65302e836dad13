#include "formwork/data/generated/sequence_task.h"

#include "formwork/core/error.h"

namespace formwork {

std::vector<TaskOption> SequenceTask::options() {
  return {{"symbols", "different symbols to draw from", IntegerOption{&symbol_count_, 1, 4096}},
          {"min_length", "shortest row", IntegerOption{&least_, 1, 65536}},
          {"max_length", "longest row", IntegerOption{&most_, 1, 65536}}};
}

void SequenceTask::prepare() {
  if (least_ > most_) fail("expected min_length <= max_length, found {} and {}", least_, most_);
  std::vector<std::string> symbols = {"|", "."};
  for (const std::string& letter : letters(symbol_count_)) symbols.push_back(letter);
  set_symbols(std::move(symbols));
}

GeneratedSample SequenceTask::generate(Random& random) const {
  const int64_t first = id("a");
  std::vector<int64_t> prompt(random.between(least_, most_));
  for (int64_t& symbol : prompt) symbol = first + random.below(symbol_count_);
  std::vector<int64_t> result = answer(prompt);
  prompt.push_back(id("|"));
  result.push_back(id("."));
  return answer_sample(prompt, result);
}

}  // namespace formwork
