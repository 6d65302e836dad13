// Symbols scattered among blanks, then marks where they are asked for in order. Mamba (2023).
#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

class SelectiveCopyingTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"positions", "symbols and blanks before the marks", IntegerOption{&positions_, 1, 1 << 20}},
            {"memorize", "symbols among them, and marks", IntegerOption{&memorize_, 1, 1 << 20}},
            {"symbols", "different symbols", IntegerOption{&symbol_count_, 1, 4096}}};
  }

  void prepare() {
    if (memorize_ > positions_)
      fail("task selective_copying: expected memorize <= positions, found {} and {}", memorize_, positions_);
    std::vector<std::string> symbols = {"?"};
    for (const std::string& letter : letters(symbol_count_)) symbols.push_back(letter);
    set_symbols(std::move(symbols));
  }

 private:
  GeneratedSample generate(Random& random) const override {
    const int64_t first = id("a");
    std::vector<int64_t> places = random.permutation(positions_);
    places.resize(memorize_);
    std::sort(places.begin(), places.end());
    GeneratedSample sample;
    sample.input_ids.resize(positions_);  // blank is 0
    sample.targets.resize(positions_);
    sample.loss_mask.resize(positions_);
    for (int64_t place : places)
      sample.targets.push_back(sample.input_ids[place] = first + random.below(symbol_count_));
    sample.input_ids.resize(positions_ + memorize_, id("?"));
    sample.loss_mask.resize(positions_ + memorize_, 1);
    return sample;
  }

  int64_t positions_ = 32, memorize_ = 6, symbol_count_ = 7;
};

const RegisterGeneratedTask<SelectiveCopyingTask> registered_selective_copying(
    "selective_copying", "Say the symbols that stood among blanks, in order.");

}  // namespace
}  // namespace formwork
