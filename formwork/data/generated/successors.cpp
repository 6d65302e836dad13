// Say what followed this symbol when it came last: each row follows a random successor permutation of its
// own, and jumps now and then to one of a few symbols, so that only the row itself tells what follows what.
// Targets count where the latest earlier occurrence of a symbol predicts the next. Attention solves it by an
// induction head on a previous-token head (In-context Learning and Induction Heads, 2022).
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
  GeneratedSample generate(Random& random) const override {
    const auto follows = random.permutation(symbol_count_), landings = random.permutation(symbol_count_);
    GeneratedSample sample;
    std::vector<int64_t> row{random.below(symbol_count_)}, last(static_cast<size_t>(symbol_count_), -1);
    while (static_cast<int64_t>(row.size()) <= length_)
      row.push_back(random.uniform() < jump_ ? landings[static_cast<size_t>(random.below(landings_))]
                                             : follows[static_cast<size_t>(row.back())]);
    const int64_t first = id("a");
    for (int64_t t = 0; t < length_; ++t) {
      const auto now = row[static_cast<size_t>(t)], next = row[static_cast<size_t>(t + 1)];
      auto& before = last[static_cast<size_t>(now)];
      sample.input_ids.push_back(first + now);
      sample.targets.push_back(first + next);
      sample.loss_mask.push_back(before >= 0 && row[static_cast<size_t>(before + 1)] == next);
      before = t;
    }
    return sample;
  }

  int64_t length_ = 20, symbol_count_ = 20, landings_ = 8;
  double jump_ = 0.35;
};

const RegisterGeneratedTask<SuccessorsTask> registered("successors",
                                                       "Say what followed this symbol when it came last.");

}  // namespace
}  // namespace formwork
