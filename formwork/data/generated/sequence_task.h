// Tasks that turn one row of symbols into another: "b a c |" -> "answer .".
#pragma once
#include "formwork/data/generated/generated_task.h"

namespace formwork {

class SequenceTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override;
  // Throws Error when the bounds of the length cross.
  void prepare();

 protected:
  virtual std::vector<int64_t> answer(std::vector<int64_t> symbols) const = 0;
  GeneratedSample generate(Random& random) const override;

 private:
  int64_t symbol_count_ = 8, least_ = 1, most_ = 8;
};

}  // namespace formwork
