// Tasks whose examples are computed: unlimited data with known answers.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/data/generated/task_options.h"
#include "formwork/data/random.h"

namespace formwork {

// The prediction at position t is compared with targets[t] where loss_mask[t] is 1. Whatever decides the
// target at t stands at positions up to t, so causal models can do every task.
struct GeneratedSample {
  std::vector<int64_t> input_ids, targets;
  std::vector<uint8_t> loss_mask;
};

class GeneratedTask {
 public:
  virtual ~GeneratedTask() = default;

  // Printable symbols by id; id 0 is "_", which pads.
  const std::vector<std::string>& symbols() const { return symbols_; }
  int64_t vocab_size() const { return static_cast<int64_t>(symbols_.size()); }

  // Depends only on (seed, index) and the options.
  GeneratedSample sample(uint64_t seed, int64_t index) const {
    Random random{seed, static_cast<uint64_t>(index)};
    return generate(random);
  }

  // Symbols joined by spaces. Throws Error for ids out of range.
  std::string decode(const std::vector<int64_t>& ids) const;
  // The id of a symbol. Throws Error when there is none.
  int64_t id(std::string_view symbol) const;

  virtual std::vector<TaskOption> options() = 0;

 protected:
  virtual GeneratedSample generate(Random& random) const = 0;
  // "_" and then `symbols`.
  void set_symbols(std::vector<std::string> symbols);

 private:
  std::vector<std::string> symbols_;
};

struct GeneratedBatch {
  at::Tensor input_ids, targets;  // [B, T] int64, padded with 0
  at::Tensor loss_mask;           // [B, T] bool
  at::Tensor lengths;             // [B] int64
};

// Samples step * B .. step * B + B - 1 of `seed`, padded on the right to the longest.
GeneratedBatch generated_batch(const GeneratedTask& task, uint64_t seed, int64_t step, int64_t batch);

// Input `prompt + answer` without its last id, target the id that follows; only the answer counts.
GeneratedSample answer_sample(const std::vector<int64_t>& prompt, const std::vector<int64_t>& answer);
// Input `prompt`, one target at its last position.
GeneratedSample closing_sample(std::vector<int64_t> prompt, int64_t answer);

// count different symbols: a .. z, A .. Z, then s52, s53, ...
std::vector<std::string> letters(int64_t count);

// The registry of tasks by name.
using TaskMaker = std::function<std::unique_ptr<GeneratedTask>(const nlohmann::json& options)>;
void register_generated_task(const std::string& name, const std::string& summary, TaskMaker maker);
// Throws Error for an unknown name or wrong options, naming the nearest right one.
std::unique_ptr<GeneratedTask> make_generated_task(const std::string& name,
                                                   const nlohmann::json& options = nullptr);
std::vector<std::string> generated_task_names();
// What the task asks, then its options with default, bounds and meaning.
std::string describe_generated_task(const std::string& name);

// Registers Task, which starts with its default options and offers prepare() to check them and set its
// symbols.
template <class Task>
struct RegisterGeneratedTask {
  RegisterGeneratedTask(const std::string& name, const std::string& summary) {
    register_generated_task(name, summary, [name](const nlohmann::json& values) {
      auto task = std::make_unique<Task>();
      read_task_options(values, task->options(), name);
      task->prepare();
      return task;
    });
  }
};

}  // namespace formwork
