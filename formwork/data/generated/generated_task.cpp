#include "formwork/data/generated/generated_task.h"

#include "formwork/core/error.h"

namespace formwork {
namespace {

struct Registered {
  std::string summary;
  TaskMaker maker;
};

std::map<std::string, Registered>& registry() {
  static std::map<std::string, Registered> tasks;
  return tasks;
}

const Registered& find_task(const std::string& name) {
  const auto found = registry().find(name);
  if (found == registry().end()) fail_unknown("generated task", name, generated_task_names());
  return found->second;
}

}  // namespace

std::string GeneratedTask::decode(const std::vector<int64_t>& ids) const {
  std::vector<std::string> words;
  for (int64_t id : ids) {
    if (id < 0 || id >= vocab_size()) fail("expected a symbol id in [0, {}), found {}", vocab_size(), id);
    words.push_back(symbols_[id]);
  }
  return fmt::format("{}", fmt::join(words, " "));
}

int64_t GeneratedTask::id(std::string_view symbol) const {
  const auto found = std::find(symbols_.begin(), symbols_.end(), symbol);
  if (found == symbols_.end()) fail_unknown("symbol", symbol, symbols_);
  return found - symbols_.begin();
}

void GeneratedTask::set_symbols(std::vector<std::string> symbols) {
  symbols_ = std::move(symbols);
  symbols_.insert(symbols_.begin(), "_");
}

GeneratedBatch generated_batch(const GeneratedTask& task, uint64_t seed, int64_t step, int64_t batch) {
  if (batch < 1) fail("expected a batch of at least 1, found {}", batch);
  std::vector<GeneratedSample> samples;
  size_t width = 0;
  for (int64_t row = 0; row < batch; ++row) {
    samples.push_back(task.sample(seed, step * batch + row));
    width = std::max(width, samples.back().input_ids.size());
  }
  const auto length = static_cast<int64_t>(width);
  GeneratedBatch result{at::zeros({batch, length}, at::kLong), at::zeros({batch, length}, at::kLong),
                        at::zeros({batch, length}, at::kBool), at::zeros({batch}, at::kLong)};
  for (int64_t row = 0; row < batch; ++row) {
    const GeneratedSample& sample = samples[row];
    const int64_t offset = row * length;
    std::copy(sample.input_ids.begin(), sample.input_ids.end(),
              result.input_ids.mutable_data_ptr<int64_t>() + offset);
    std::copy(sample.targets.begin(), sample.targets.end(),
              result.targets.mutable_data_ptr<int64_t>() + offset);
    std::copy(sample.loss_mask.begin(), sample.loss_mask.end(),
              result.loss_mask.mutable_data_ptr<bool>() + offset);
    result.lengths.mutable_data_ptr<int64_t>()[row] = static_cast<int64_t>(sample.input_ids.size());
  }
  return result;
}

GeneratedSample answer_sample(const std::vector<int64_t>& prompt, const std::vector<int64_t>& answer) {
  std::vector<int64_t> whole = prompt;
  whole.insert(whole.end(), answer.begin(), answer.end());
  GeneratedSample sample{{whole.begin(), whole.end() - 1}, {whole.begin() + 1, whole.end()}, {}};
  sample.loss_mask.assign(prompt.size() - 1, 0);
  sample.loss_mask.resize(whole.size() - 1, 1);
  return sample;
}

GeneratedSample closing_sample(std::vector<int64_t> prompt, int64_t answer) {
  return answer_sample(prompt, {answer});
}

std::vector<std::string> letters(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i)
    names.push_back(i < 26   ? std::string(1, static_cast<char>('a' + i))
                    : i < 52 ? std::string(1, static_cast<char>('A' + i - 26))
                             : fmt::format("s{}", i));
  return names;
}

void register_generated_task(const std::string& name, const std::string& summary, TaskMaker maker) {
  registry()[name] = {summary, std::move(maker)};
}

std::unique_ptr<GeneratedTask> make_generated_task(const std::string& name, const nlohmann::json& options) {
  return find_task(name).maker(options);
}

std::vector<std::string> generated_task_names() {
  std::vector<std::string> names;
  for (const auto& [name, task] : registry()) names.push_back(name);
  return names;
}

std::string describe_generated_task(const std::string& name) {
  return find_task(name).summary + "\n" + describe_task_options(make_generated_task(name)->options());
}

}  // namespace formwork
