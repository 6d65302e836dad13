// Remember what followed the mark and say it when the mark comes again.
// In-context Learning and Induction Heads (2022); in this form: Mamba (2023).
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

class InductionHeadsTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"length", "input length, the two marks included", IntegerOption{&length_, 3, 1 << 22}},
            {"symbols", "different symbols beside the mark", IntegerOption{&symbol_count_, 1, 4096}}};
  }

  void prepare() {
    std::vector<std::string> symbols = {"*"};
    for (const std::string& letter : letters(symbol_count_)) symbols.push_back(letter);
    set_symbols(std::move(symbols));
  }

 private:
  GeneratedSample generate(Random& random) const override {
    const int64_t mark = id("*"), first = id("a");
    std::vector<int64_t> row(length_);
    for (int64_t& symbol : row) symbol = first + random.below(symbol_count_);
    const int64_t at = random.below(length_ - 2);
    row[at] = row[length_ - 1] = mark;
    const int64_t followed = row[at + 1];
    return closing_sample(std::move(row), followed);
  }

  int64_t length_ = 64, symbol_count_ = 15;
};

const RegisterGeneratedTask<InductionHeadsTask> registered_induction_heads(
    "induction_heads", "Say what followed the mark when it came before.");

}  // namespace
}  // namespace formwork
