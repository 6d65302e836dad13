// The models that a comparison makes: every method at each of its budgets, and each of them trained further.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formwork/tasks/task.h"
#include "formwork/transforms/transform.h"

namespace formwork {

// How a compressed model is trained further on the task: AdamW, from `rate` down along a cosine.
struct Recovery {
  int64_t steps = 0;  // 0: not at all
  int64_t batch = 16, seed = 1;
  double rate = 1e-3;
};

struct Candidate {
  std::string method;  // a transform, or kOriginal
  Json options = Json::object();
  int64_t recover = 0;  // steps of further training
};
inline constexpr const char* kOriginal = "original";

// The original, then every budget of every method. With `recover` > 0 each is followed by itself trained
// further, the original too: else what the extra steps give would count for the method.
std::vector<Candidate> plan_candidates(const std::vector<std::string>& methods, int64_t recover);

// "ratio=0.25, order=sequential"; "-" for no options.
std::string options_text(const Json& options);
// "lord ratio=0.25", "lord ratio=0.25, recovered".
std::string candidate_text(const Candidate& candidate);

struct Compressed {
  std::shared_ptr<Model> model;
  std::optional<Budget> budget;
  Json warnings;  // a list of lines
};

// Applies the method. Throws Error with the reason where it does not apply, and NothingChanged where the
// result has the same Spec (history and meta aside) and the same tensors.
Compressed compress(const Candidate& candidate, const std::shared_ptr<Model>& original,
                    const Calibration& data);

// Trains a model further. Checkpoints in `folder` let a stopped training go on; they go when it is done.
void recover(Model& model, Task& task, const Recovery& recovery, const std::filesystem::path& folder);

}  // namespace formwork
