// "3 + 5 + 1 =" -> "2" modulo 7. Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets
// (2022).
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

struct Operation {
  std::string symbol;
  int64_t (*apply)(int64_t left, int64_t right, int64_t modulus);
};

const std::map<std::string, Operation>& operations() {
  static const std::map<std::string, Operation> table = {
      {"add", {"+", [](int64_t a, int64_t b, int64_t p) { return (a + b) % p; }}},
      {"subtract", {"-", [](int64_t a, int64_t b, int64_t p) { return (a - b + p) % p; }}},
      {"multiply", {"*", [](int64_t a, int64_t b, int64_t p) { return a * b % p; }}}};
  return table;
}

class ModularArithmeticTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    std::vector<std::string> names;
    for (const auto& [name, operation] : operations()) names.push_back(name);
    return {{"modulus", "numbers are 0 .. modulus - 1", IntegerOption{&modulus_, 2, 65536}},
            {"operands", "numbers joined, from left to right", IntegerOption{&operands_, 2, 1024}},
            {"operation", "what joins them", ChoiceOption{&operation_, names}}};
  }

  void prepare() {
    std::vector<std::string> symbols = {"=", operations().at(operation_).symbol};
    for (int64_t i = 0; i < modulus_; ++i) symbols.push_back(std::to_string(i));
    set_symbols(std::move(symbols));
  }

 private:
  GeneratedSample generate(Random& random) const override {
    const Operation& operation = operations().at(operation_);
    const int64_t zero = id("0"), sign = id(operation.symbol);
    int64_t value = random.below(modulus_);
    std::vector<int64_t> prompt = {zero + value};
    for (int64_t i = 1; i < operands_; ++i) {
      const int64_t next = random.below(modulus_);
      prompt.insert(prompt.end(), {sign, zero + next});
      value = operation.apply(value, next, modulus_);
    }
    prompt.push_back(id("="));
    return closing_sample(std::move(prompt), zero + value);
  }

  int64_t modulus_ = 97, operands_ = 2;
  std::string operation_ = "add";
};

const RegisterGeneratedTask<ModularArithmeticTask> registered_modular_arithmetic(
    "modular_arithmetic", "Add, subtract or multiply modulo a number.");

}  // namespace
}  // namespace formwork
