// Greedy decoding of a model folder: bench_decode MODEL BATCH PROMPT TOKENS [ROUNDS] prints one line of
// JSON, the tokens made and their number a second after the prompt. Prompts are made by a formula, so that
// another program can be given the same. With ROUNDS, the runtime and the plain path take turns with a loop
// that does nothing but read the weights: medians of tokens and of gigabytes of weights a second.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "formwork/decode/decode_strategy.h"
#include "formwork/kernels/cpu/parallel.h"
#include "formwork/models/model_io.h"

namespace formwork {
namespace {

Tensor make_prompt(int64_t batch, int64_t tokens, int64_t vocab) {
  const auto rows = at::arange(batch, at::kLong).unsqueeze(1), columns = at::arange(tokens, at::kLong);
  return (rows * 7919 + columns * 104729).remainder(vocab);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Reads a prompt, then makes tokens one by one.
class Run {
 public:
  Run(Model& model, const Tensor& prompt, int64_t tokens, bool plain) : tokens_(tokens) {
    request_.prompt = prompt, request_.tokens = tokens + 1, request_.plain = plain;
    prompt_seconds_ = seconds_of([&] { decoder_ = std::make_unique<Decoder>(model, request_); });
  }
  double make() {
    return seconds_of([&] {
      for (int64_t i = 0; i < tokens_; ++i) {
        made_.push_back(decoder_->logits().argmax(-1));
        decoder_->append(made_.back());
      }
      made_.push_back(decoder_->logits().argmax(-1));
    });
  }
  double prompt_seconds() const { return prompt_seconds_; }
  const std::string& why_plain() const { return decoder_->why_plain(); }
  Json tokens() const {
    const auto ids = at::stack(made_, 1).contiguous();
    Json rows = Json::array();
    for (int64_t row = 0; row < ids.size(0); ++row)
      rows.push_back(std::vector<int64_t>(ids[row].const_data_ptr<int64_t>(),
                                          ids[row].const_data_ptr<int64_t>() + ids.size(1)));
    return rows;
  }

 private:
  DecodeRequest request_;
  int64_t tokens_;
  double prompt_seconds_ = 0;
  std::unique_ptr<Decoder> decoder_;
  std::vector<Tensor> made_;
};

Json decode(Model& model, const Tensor& prompt, int64_t tokens) {
  const at::NoGradGuard guard;
  Run run(model, prompt, tokens, false);
  const double seconds = run.make();
  return {{"tokens_per_second", static_cast<double>(tokens * prompt.size(0)) / seconds},
          {"tokens", run.tokens()},
          {"plain", run.why_plain()}};
}

// The sum of 64-bit words, as fast as the memory gives them.
__attribute__((target_clones("avx512f", "avx2", "default"))) uint64_t sum_words(const uint64_t* words,
                                                                                int64_t count) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += words[i];
  return sum;
}

// Seconds to read every parameter once. A tied embedding counts once, as a step reads it.
double read_seconds(const Model& model) {
  std::atomic<uint64_t> total{0};
  const double seconds = seconds_of([&] {
    for (const auto& param : model.inventory().params) {
      const auto* words = static_cast<const uint64_t*>(param.value.const_data_ptr());
      parallel_for(0, static_cast<int64_t>(param.value.nbytes()) / 8, 4096,
                   [&](int64_t first, int64_t last) { total += sum_words(words + first, last - first); });
    }
  });
  if (total == 0) fmt::print(stderr, "all weights are zero\n");
  return seconds;
}

Json compare(Model& model, const Tensor& prompt, int64_t tokens, int64_t rounds) {
  const at::NoGradGuard guard;
  const double made = static_cast<double>(tokens * prompt.size(0)),
               bytes = static_cast<double>(model.bytes());
  std::vector<double> fast, plain, read, fast_prompt, plain_prompt;
  bool same = true;
  for (int64_t i = 0; i < rounds; ++i) {
    Run ours(model, prompt, tokens, false), theirs(model, prompt, tokens, true);
    fast.push_back(ours.make()), plain.push_back(theirs.make());
    read.push_back(median({read_seconds(model), read_seconds(model), read_seconds(model)}));
    fast_prompt.push_back(ours.prompt_seconds()), plain_prompt.push_back(theirs.prompt_seconds());
    same = same && ours.tokens() == theirs.tokens();
  }
  const auto rates = [&](const std::vector<double>& decoding, const std::vector<double>& prompts) {
    const double step = median(decoding) / static_cast<double>(tokens);
    return Json{{"tokens_per_second", made / median(decoding)},
                {"weights_gb_per_second", bytes / step * 1e-9},
                {"prompt_tokens_per_second", static_cast<double>(prompt.numel()) / median(prompts)}};
  };
  return {{"runtime", rates(fast, fast_prompt)},
          {"plain", rates(plain, plain_prompt)},
          {"read_gb_per_second", bytes / median(read) * 1e-9},
          {"share_of_read", median(read) * static_cast<double>(tokens) / median(fast)},
          {"ratio", median(plain) / median(fast)},
          {"same_tokens", same}};
}

}  // namespace
}  // namespace formwork

int main(int argc, char** argv) {
  using namespace formwork;
  if (argc < 5) {
    std::fputs("usage: bench_decode MODEL BATCH PROMPT TOKENS [ROUNDS]\n", stderr);
    return 2;
  }
  auto model = load_model(argv[1]);
  const auto prompt = make_prompt(std::atoll(argv[2]), std::atoll(argv[3]),
                                  model->spec().model.options.at("vocab").get<int64_t>());
  const int64_t tokens = std::atoll(argv[4]);
  const auto result =
      argc > 5 ? compare(*model, prompt, tokens, std::atoll(argv[5])) : decode(*model, prompt, tokens);
  fmt::print("{}\n", result.dump());
}
