// "1 2 * 3 4 =" -> "0 4 0 8": both factors have n digits, the product 2n.
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

using Digits = std::vector<int64_t>;  // most significant first

Digits product(const Digits& left, const Digits& right) {
  Digits sum(left.size() + right.size());
  for (size_t i = left.size(); i-- > 0;) {
    int64_t carry = 0;
    for (size_t j = right.size(); j-- > 0;) {
      const int64_t value = sum[i + j + 1] + left[i] * right[j] + carry;
      sum[i + j + 1] = value % 10;
      carry = value / 10;
    }
    sum[i] = carry;
  }
  return sum;
}

class MultiplicationTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"digits", "digits of each factor, with leading zeros", IntegerOption{&digits_, 1, 1024}},
            {"answer", "which digit of the product comes first",
             ChoiceOption{&order_, {"highest_first", "lowest_first"}}}};
  }

  void prepare() {
    std::vector<std::string> symbols = {"*", "="};
    for (int digit = 0; digit < 10; ++digit) symbols.push_back(std::to_string(digit));
    set_symbols(std::move(symbols));
  }

 private:
  GeneratedSample generate(Random& random) const override {
    const int64_t zero = id("0");
    Digits left(digits_), right(digits_);
    for (Digits* factor : {&left, &right})
      for (int64_t& digit : *factor) digit = random.below(10);
    Digits answer = product(left, right);
    if (order_ == "lowest_first") std::reverse(answer.begin(), answer.end());
    std::vector<int64_t> prompt = left;
    prompt.insert(prompt.end(), right.begin(), right.end());
    for (int64_t& digit : prompt) digit += zero;
    for (int64_t& digit : answer) digit += zero;
    prompt.insert(prompt.begin() + digits_, id("*"));
    prompt.push_back(id("="));
    return answer_sample(prompt, answer);
  }

  int64_t digits_ = 2;
  std::string order_ = "highest_first";
};

const RegisterGeneratedTask<MultiplicationTask> registered_multiplication(
    "multiplication", "Multiply two numbers of n digits.");

}  // namespace
}  // namespace formwork
