// Say the row of symbols again.
#include "formwork/data/generated/sequence_task.h"

namespace formwork {
namespace {

class CopyTask : public SequenceTask {
  std::vector<int64_t> answer(std::vector<int64_t> symbols) const override { return symbols; }
};

const RegisterGeneratedTask<CopyTask> registered_copy("copy", "Say the row of symbols again.");

}  // namespace
}  // namespace formwork
