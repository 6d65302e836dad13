// Nested list operations on digits: "[MAX 2 9 [MIN 4 7 ] 0 ]" -> "9".
// ListOps: A Diagnostic Dataset for Latent Tree Learning (2018); generator as in Long Range Arena (2021).
#include <numeric>

#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

using Values = std::vector<int64_t>;

int64_t median(Values values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

struct Operator {
  const char* symbol;
  int64_t (*apply)(const Values& values);
};

constexpr Operator operators[] = {
    {"[MIN", [](const Values& v) { return *std::min_element(v.begin(), v.end()); }},
    {"[MAX", [](const Values& v) { return *std::max_element(v.begin(), v.end()); }},
    {"[MED", [](const Values& v) { return median(v); }},
    {"[SM", [](const Values& v) { return std::accumulate(v.begin(), v.end(), int64_t{0}) % 10; }}};

class ListOpsTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"min_length", "fewest symbols kept", IntegerOption{&least_, 1, 1 << 16}},
            {"max_length", "most symbols kept", IntegerOption{&most_, 1, 1 << 16}},
            {"depth", "levels of the tree, the digits included", IntegerOption{&depth_, 1, 64}},
            {"arguments", "most arguments of an operator, from 2", IntegerOption{&arguments_, 2, 64}},
            {"nesting", "chance that a node is an operator", RealOption{&nesting_, 0, 1}}};
  }

  void prepare() {
    if (least_ > most_)
      fail("task listops: expected min_length <= max_length, found {} and {}", least_, most_);
    std::vector<std::string> symbols = {"]"};
    for (const Operator& operation : operators) symbols.push_back(operation.symbol);
    for (int digit = 0; digit < 10; ++digit) symbols.push_back(std::to_string(digit));
    set_symbols(std::move(symbols));
  }

 private:
  // Trees of another length are drawn again, as published.
  GeneratedSample generate(Random& random) const override {
    constexpr int64_t attempts = 200000;
    for (int64_t attempt = 0; attempt < attempts; ++attempt) {
      Values row;
      const int64_t value = node(random, 1, row);
      const auto length = static_cast<int64_t>(row.size());
      if (length >= least_ && length <= most_) return closing_sample(std::move(row), digit(value));
    }
    fail("task listops: none of {} trees had {} to {} symbols; widen the lengths or raise depth and nesting",
         attempts, least_, most_);
  }

  int64_t digit(int64_t value) const { return vocab_size() - 10 + value; }

  // Appends the tree and returns its value; stops early, with any value, once it is too long to be kept.
  int64_t node(Random& random, int64_t level, Values& row) const {
    if (level >= depth_ || random.uniform() >= nesting_) {
      const int64_t value = random.below(10);
      row.push_back(digit(value));
      return value;
    }
    const int64_t which = random.below(std::size(operators));
    row.push_back(2 + which);
    Values values;
    for (int64_t left = random.between(2, arguments_); left > 0; --left) {
      values.push_back(node(random, level + 1, row));
      if (static_cast<int64_t>(row.size()) > most_) return 0;
    }
    row.push_back(1);
    return operators[which].apply(values);
  }

  int64_t least_ = 10, most_ = 100, depth_ = 10, arguments_ = 10;
  double nesting_ = 0.25;
};

const RegisterGeneratedTask<ListOpsTask> registered_listops(
    "listops", "Evaluate nested MIN, MAX, MED and SM of digits.");

}  // namespace
}  // namespace formwork
