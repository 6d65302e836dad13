// Speed and memory of saved models, measured in turns: in every round each model is loaded, run and let go
// again, so that the machine's other work falls on all alike and only one is in memory at a time.
#pragma once
#include <string>
#include <vector>

#include "formwork/tasks/task.h"

namespace formwork {

// One turn of a model: {"prefill": tokens/s, "decode": tokens/s, "peak": bytes}. Prefill is a forward pass
// over `batch`; decode appends `decode_tokens` tokens, one by one, to one row (absent for models without a
// causal order). Both are timed after a pass that is not. Peak is resident memory of loading and running the
// model above what the program held before (ResidentPeak); absent where the system cannot tell.
Json measure_turn(const std::string& folder, const Batch& batch, int64_t decode_tokens);

// The medians of a model's turns, as fields of a row: "prefill tokens/s", "decode tokens/s", "peak bytes".
Json median_of_turns(const std::vector<Json>& turns);

}  // namespace formwork
