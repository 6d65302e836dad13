// Greedy decoding of a model folder: bench_decode MODEL BATCH PROMPT TOKENS prints one line of
// JSON, the tokens made and their number a second after the prompt. Prompts are made by a formula, so that
// another program can be given the same.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "formwork/models/model_io.h"

namespace formwork {
namespace {

Tensor make_prompt(int64_t batch, int64_t tokens, int64_t vocab) {
  const auto rows = at::arange(batch, at::kLong).unsqueeze(1), columns = at::arange(tokens, at::kLong);
  return (rows * 7919 + columns * 104729).remainder(vocab);
}

Json decode(Model& model, const Tensor& prompt, int64_t tokens) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  StateOptions options;
  options.batch = prompt.size(0), options.capacity = prompt.size(1) + tokens;
  auto state = model.make_state(ctx, {}, options);
  auto next = model.append(ctx, {{"input_ids", prompt}}, state).at("logits").select(1, -1).argmax(-1, true);
  std::vector<Tensor> made = {next};
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < tokens; ++i) {
    next = model.append(ctx, {{"input_ids", next}}, state).at("logits").select(1, -1).argmax(-1, true);
    made.push_back(next);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto ids = at::cat(made, 1).contiguous();
  Json rows = Json::array();
  for (int64_t row = 0; row < ids.size(0); ++row)
    rows.push_back(std::vector<int64_t>(ids[row].const_data_ptr<int64_t>(),
                                        ids[row].const_data_ptr<int64_t>() + ids.size(1)));
  return {{"tokens_per_second", static_cast<double>(tokens * prompt.size(0)) / seconds}, {"tokens", rows}};
}

}  // namespace
}  // namespace formwork

int main(int argc, char** argv) {
  using namespace formwork;
  if (argc < 5) {
    std::fputs("usage: bench_decode MODEL BATCH PROMPT TOKENS\n", stderr);
    return 2;
  }
  auto model = load_model(argv[1]);
  const auto prompt = make_prompt(std::atoll(argv[2]), std::atoll(argv[3]),
                                  model->spec().model.options.at("vocab").get<int64_t>());
  fmt::print("{}\n", decode(*model, prompt, std::atoll(argv[4])).dump());
}
