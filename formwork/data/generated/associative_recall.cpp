// Pairs of key and value, then keys alone: say the value of each. Zoology (2023); one query: Using Fast
// Weights to Attend to the Recent Past (2016).
#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

class AssociativeRecallTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"keys", "different keys", IntegerOption{&keys_, 1, 4096}},
            {"values", "different values", IntegerOption{&values_, 1, 4096}},
            {"pairs", "pairs in a row, each key at most once", IntegerOption{&pairs_, 1, 4096}},
            {"queries", "keys asked for, each at most once", IntegerOption{&queries_, 1, 4096}}};
  }

  void prepare() {
    if (pairs_ > keys_)
      fail("task associative_recall: expected at most {} pairs (the number of keys), found {}", keys_,
           pairs_);
    if (queries_ > pairs_)
      fail("task associative_recall: expected at most {} queries (the number of pairs), found {}", pairs_,
           queries_);
    std::vector<std::string> symbols = {"?"};
    for (const std::string& letter : letters(keys_)) symbols.push_back("k" + letter);
    for (const std::string& letter : letters(values_)) symbols.push_back("v" + letter);
    set_symbols(std::move(symbols));
  }

 private:
  GeneratedSample generate(Random& random) const override {
    const int64_t first_key = id("ka"), first_value = id("va");
    const std::vector<int64_t> keys = random.permutation(keys_);
    GeneratedSample sample;
    std::vector<int64_t> values;
    for (int64_t i = 0; i < pairs_; ++i) {
      values.push_back(first_value + random.below(values_));
      sample.input_ids.insert(sample.input_ids.end(), {first_key + keys[i], values.back()});
    }
    sample.input_ids.push_back(id("?"));
    sample.targets.resize(sample.input_ids.size());
    sample.loss_mask.resize(sample.input_ids.size());
    const std::vector<int64_t> asked = random.permutation(pairs_);
    for (int64_t i = 0; i < queries_; ++i) {
      sample.input_ids.push_back(first_key + keys[asked[i]]);
      sample.targets.push_back(values[asked[i]]);
      sample.loss_mask.push_back(1);
    }
    return sample;
  }

  int64_t keys_ = 16, values_ = 16, pairs_ = 8, queries_ = 1;
};

const RegisterGeneratedTask<AssociativeRecallTask> registered_associative_recall(
    "associative_recall", "Say the value that stood beside each asked key.");

}  // namespace
}  // namespace formwork
