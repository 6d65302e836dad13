// Say the row of symbols backwards.
#include "formwork/data/generated/sequence_task.h"

namespace formwork {
namespace {

class ReverseTask : public SequenceTask {
  std::vector<int64_t> answer(std::vector<int64_t> symbols) const override {
    std::reverse(symbols.begin(), symbols.end());
    return symbols;
  }
};

const RegisterGeneratedTask<ReverseTask> registered_reverse("reverse", "Say the row of symbols backwards.");

}  // namespace
}  // namespace formwork
