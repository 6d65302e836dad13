// Say what followed this symbol when it came last: each row follows a random successor permutation of its
// own, and jumps now and then to one of a few symbols, so that only the row itself tells what follows what.
// Targets count where the latest earlier occurrence of a symbol predicts the next. Attention solves it by an
// induction head on a previous-token head (In-context Learning and Induction Heads, 2022).
#include <algorithm>

#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

class SuccessorsTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"length", "input length", IntegerOption{&length_, 2, 1 << 22}},
            {"symbols", "different symbols", IntegerOption{&symbol_count_, 2, 4096}},
            {"landings", "symbols that a row may jump to", IntegerOption{&landings_, 1, 4096}},
            {"jump", "probability of a jump", RealOption{&jump_, 0, 1}}};
  }

  void prepare() {
    if (landings_ > symbol_count_)
      fail("successors: expected at most {} landings, as many as symbols, found {}", symbol_count_,
           landings_);
    set_symbols(letters(symbol_count_));
  }

 private:
  using Row = std::vector<int64_t>;

  GeneratedSample generate(Random& random) const override {
    // Rows that tell nothing are drawn again; where nearly all are such, one ends in a symbol that it
    // repeats.
    constexpr int kTries = 100;
    Row row = draw(random);
    for (int i = 1; i < kTries && !tells(row); ++i) row = draw(random);
    if (!tells(row)) row.back() = row[row.size() - 2] = row[row.size() - 3];
    const int64_t first = id("a");
    GeneratedSample sample;
    for (size_t t = 0; t + 1 < row.size(); ++t) {
      sample.input_ids.push_back(first + row[t]);
      sample.targets.push_back(first + row[t + 1]);
    }
    for (const bool counts : counted(row)) sample.loss_mask.push_back(counts);
    return sample;
  }

  // length + 1 symbols.
  Row draw(Random& random) const {
    const auto follows = random.permutation(symbol_count_), landings = random.permutation(symbol_count_);
    Row row{random.below(symbol_count_)};
    while (static_cast<int64_t>(row.size()) <= length_)
      row.push_back(random.uniform() < jump_ ? landings[static_cast<size_t>(random.below(landings_))]
                                             : follows[static_cast<size_t>(row.back())]);
    return row;
  }

  // Of each symbol but the last: whether what followed it when it came last follows again.
  std::vector<bool> counted(const Row& row) const {
    std::vector<int64_t> followed(static_cast<size_t>(symbol_count_), -1);
    std::vector<bool> counts;
    for (size_t t = 0; t + 1 < row.size(); ++t) {
      auto& before = followed[static_cast<size_t>(row[t])];
      counts.push_back(before == row[t + 1]);
      before = row[t + 1];
    }
    return counts;
  }
  bool tells(const Row& row) const {
    const auto counts = counted(row);
    return std::find(counts.begin(), counts.end(), true) != counts.end();
  }

  int64_t length_ = 20, symbol_count_ = 20, landings_ = 8;
  double jump_ = 0.35;
};

const RegisterGeneratedTask<SuccessorsTask> registered_successors(
    "successors", "Say what followed this symbol when it came last.");

}  // namespace
}  // namespace formwork
