// Say the row of symbols in order.
#include "formwork/data/generated/sequence_task.h"

namespace formwork {
namespace {

class SortTask : public SequenceTask {
  std::vector<int64_t> answer(std::vector<int64_t> symbols) const override {
    std::sort(symbols.begin(), symbols.end());
    return symbols;
  }
};

const RegisterGeneratedTask<SortTask> registered_sort("sort", "Say the row of symbols in order.");

}  // namespace
}  // namespace formwork
