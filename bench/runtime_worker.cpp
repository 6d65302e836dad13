// The Formwork side of decoding.py, without LibTorch: bench_runtime_worker MODEL THREADS, then a JSON request
// a line, {"batch", "prompt", "tokens"}, and an answer a line. The first line written says how long loading
// took.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/parallel.h"
#include "formwork/runtime/model_file.h"
#include "formwork/runtime/session.h"

namespace formwork::runtime {
namespace {

using Ids = std::vector<int64_t>;

double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Token j of row i, by a formula that the other contenders know too.
std::vector<Ids> prompts(int64_t batch, int64_t tokens, int64_t vocab) {
  std::vector<Ids> rows(static_cast<size_t>(batch));
  for (int64_t i = 0; i < batch; ++i)
    for (int64_t j = 0; j < tokens; ++j)
      rows[static_cast<size_t>(i)].push_back((i * 7919 + j * 104729) % vocab);
  return rows;
}

class Run {
 public:
  Run(const Model& model, int64_t batch, int64_t prompt, int64_t tokens)
      : session_(model, options(batch, prompt + tokens + 1)),
        next_(prompts(batch, prompt, model.vocab())),
        made_(next_.size()) {}

  // Reads the prompts and chooses the first token of each.
  double start() {
    return seconds_of([&] { step(); });
  }
  double decode(int64_t tokens) {
    return seconds_of([&] {
      for (int64_t i = 0; i < tokens; ++i) step();
    });
  }
  const std::vector<Ids>& made() const { return made_; }

 private:
  static SessionOptions options(int64_t batch, int64_t capacity) {
    SessionOptions options;
    options.state.rows = batch, options.state.capacity = capacity;
    return options;
  }
  void step() {
    std::vector<Append> appends;
    for (size_t i = 0; i < next_.size(); ++i) appends.push_back({static_cast<int64_t>(i), next_[i]});
    const float* logits = session_.append(appends);
    const int64_t outputs = session_.model().outputs();
    for (size_t i = 0; i < next_.size(); ++i, logits += outputs) {
      next_[i] = {std::max_element(logits, logits + outputs) - logits};
      made_[i].push_back(next_[i][0]);
    }
  }

  Session session_;
  std::vector<Ids> next_, made_;
};

// Not ru_maxrss, which a process inherits from the one that started it.
int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (int64_t kilobytes = 0; word == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  return 0;
}

int serve(const char* path) {
  std::unique_ptr<ModelFile> model;
  const double load = seconds_of([&] { model = std::make_unique<ModelFile>(path); });
  std::cout << nlohmann::json{{"load_seconds", load}} << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = nlohmann::json::parse(line);
    const int64_t tokens = request.at("tokens");
    Run run(model->model(), request.at("batch"), request.at("prompt"), tokens);
    const double prompt = run.start(), decode = run.decode(tokens);
    std::cout << nlohmann::json{{"prompt_seconds", prompt},
                                {"decode_seconds", decode},
                                {"ids", run.made()},
                                {"peak", peak_bytes()}}
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace formwork::runtime

int main(int count, char** words) {
  if (count != 3) {
    std::cerr << "usage: bench_runtime_worker MODEL THREADS\n";
    return 2;
  }
  try {
    formwork::set_parallel_threads(std::atoll(words[2]));
    return formwork::runtime::serve(words[1]);
  } catch (const std::exception& error) {
    std::cerr << "bench_runtime_worker: " << error.what() << "\n";
    return 2;
  }
}
