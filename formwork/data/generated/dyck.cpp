// Balanced brackets of k kinds and bounded depth: wherever a bracket closes, say which kind.
// RNNs can generate bounded hierarchical languages with optimal memory (2020).
#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

class DyckTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"kinds", "kinds of brackets", IntegerOption{&kinds_, 1, 256}},
            {"length", "brackets in a row, an even number", IntegerOption{&length_, 2, 1 << 20}},
            {"depth", "brackets open at once, at most", IntegerOption{&depth_, 1, 1 << 20}}};
  }

  void prepare() {
    if (length_ % 2) fail("task dyck: option length: expected an even number, found {}", length_);
    const std::string open = "([{<", close = ")]}>";
    std::vector<std::string> symbols;
    for (int64_t kind = 0; kind < kinds_; ++kind) {
      const bool plain = kind < static_cast<int64_t>(open.size());
      symbols.push_back(plain ? std::string(1, open[kind]) : fmt::format("({}", kind));
      symbols.push_back(plain ? std::string(1, close[kind]) : fmt::format("){}", kind));
    }
    set_symbols(std::move(symbols));
  }

 private:
  static int64_t opening(int64_t kind) { return 1 + 2 * kind; }
  static int64_t closing(int64_t kind) { return 2 + 2 * kind; }

  // A coin decides between opening and closing wherever both still lead to a balanced row.
  GeneratedSample generate(Random& random) const override {
    std::vector<int64_t> row, stack;
    GeneratedSample sample;
    for (int64_t at = 0; at < length_; ++at) {
      const auto open = static_cast<int64_t>(stack.size());
      const bool may_close = open > 0, may_open = open < depth_ && open < length_ - at;
      const bool closes = may_close && (!may_open || random.below(2));
      if (closes) {
        row.push_back(closing(stack.back()));
        stack.pop_back();
      } else {
        stack.push_back(random.below(kinds_));
        row.push_back(opening(stack.back()));
      }
      if (at > 0) sample.loss_mask.push_back(closes);
    }
    sample.input_ids.assign(row.begin(), row.end() - 1);
    sample.targets.assign(row.begin() + 1, row.end());
    return sample;
  }

  int64_t kinds_ = 2, length_ = 32, depth_ = 8;
};

const RegisterGeneratedTask<DyckTask> registered_dyck("dyck",
                                                      "Say which bracket closes next, wherever one closes.");

}  // namespace
}  // namespace formwork
