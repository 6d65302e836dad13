// formwork-run MODEL: continues a prompt with the runtime alone, which needs no LibTorch.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "cli/usage.h"
#include "formwork/kernels/cpu/parallel.h"
#include "formwork/runtime/model_file.h"
#include "formwork/runtime/sampler.h"
#include "formwork/runtime/session.h"
#include "formwork/text/text_stream.h"

namespace formwork::runtime {
namespace {

struct Arguments {
  std::string model, prompt, cache = "fp32";
  std::vector<int64_t> ids;
  SampleOptions sampling;
  int64_t tokens = 200, seed = 0, threads = 0;
  bool statistics = false;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

CacheType cache_type(const std::string& name) {
  if (name == "bf16") return CacheType::bfloat16;
  return name == "int8" ? CacheType::int8 : CacheType::float32;
}

void add_options(CLI::App& app, Arguments& a) {
  app.add_option("model", a.model, "a model folder, a Hugging Face folder or a .gguf file")->required();
  auto* prompt = app.add_option("--prompt", a.prompt, "text to continue");
  auto* ids = app.add_option("--ids", a.ids, "token ids to continue; ids are printed")->delimiter(',');
  prompt->excludes(ids);
  app.add_option("--tokens", a.tokens, "tokens to make")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--temperature", a.sampling.temperature,
                 "draw, dividing the logits by this; 0: most probable")
      ->default_val(0.0)
      ->check(CLI::Range(0.0, 1e3));
  app.add_option("--top-k,--top_k", a.sampling.top_k, "draw from so many of the most probable; 0: all");
  app.add_option("--top-p,--top_p", a.sampling.top_p, "draw from the most probable that hold this share");
  app.add_option("--min-p,--min_p", a.sampling.min_p,
                 "leave out what is below this share of the most probable");
  app.add_option("--repetition", a.sampling.repetition, "penalty of tokens that are there already; 1: none");
  app.add_option("--seed", a.seed, "of the draws")->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--threads", a.threads, "threads; 0: as many as the processor has")
      ->check(CLI::Range(0, 256));
  app.add_option("--cache", a.cache, "type of the key-value cache")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}));
  app.add_flag("--stats", a.statistics, "print times and speeds to the standard error");
}

std::vector<int64_t> prompt_of(const Arguments& a, const ModelFile& file) {
  if (!a.ids.empty()) return a.ids;
  if (a.prompt.empty()) fail("expected a prompt: --prompt TEXT or --ids 1,2,3");
  if (!file.tokenizer()) fail("{}: this model has no tokenizer; expected --ids", a.model);
  auto ids = file.tokenizer()->encode(a.prompt);
  if (ids.empty()) fail("the prompt has no tokens");
  return ids;
}

// What is made, as it comes: text where the prompt was text, otherwise ids.
class Output {
 public:
  explicit Output(const Tokenizer* tokenizer) {
    if (tokenizer) text_.emplace(*tokenizer, /*skip_special=*/true);
  }
  void add(int64_t token) {
    if (text_)
      write(text_->add(token));
    else
      write(fmt::format("{}{}", first_ ? "" : ",", token));
    first_ = false;
  }
  void finish() { write(text_ ? text_->finish() + "\n" : "\n"); }

 private:
  static void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  std::optional<TextStream> text_;
  bool first_ = true;
};

// Greedy decoding reads no options of the draws.
SampleOptions sampling_of(const CLI::App& app, const Arguments& a) {
  if (a.sampling.temperature > 0) return parse_options<SampleOptions>(options_json(a.sampling), "sampling");
  for (const char* name : {"--top-k", "--top-p", "--min-p", "--repetition", "--seed"})
    if (app.count(name) > 0) fail("{} has no effect without --temperature: nothing is drawn", name);
  return {};
}

void run(const CLI::App& app, const Arguments& a) {
  const auto sampling = sampling_of(app, a);
  const bool draws = a.sampling.temperature > 0;
  if (a.threads > 0) set_parallel_threads(a.threads);
  const auto start = std::chrono::steady_clock::now();
  const ModelFile file(a.model);
  auto written = prompt_of(a, file);
  const auto prompt = static_cast<int64_t>(written.size());
  Sampler sampler(sampling);
  SessionOptions options;
  options.state.capacity = prompt + a.tokens;
  options.state.cache = cache_type(a.cache);
  Session session(file.model(), options);
  const double loaded = seconds_since(start);
  if (a.ids.empty()) fmt::print("{}", a.prompt);

  Output output(a.ids.empty() ? file.tokenizer() : nullptr);
  written.reserve(written.size() + static_cast<size_t>(a.tokens));
  Append append{0, written};
  const auto outputs = static_cast<size_t>(file.model().outputs());
  const float* logits = session.append({&append, 1});
  const auto decoding = std::chrono::steady_clock::now();
  const double read = seconds_since(start) - loaded;
  for (int64_t step = 0; step < a.tokens; ++step) {
    const int64_t token = draws ? sampler.draw({logits, outputs}, written, static_cast<uint64_t>(a.seed), 0,
                                               static_cast<uint64_t>(step))
                                : greedy({logits, outputs});
    output.add(token);
    written.push_back(token);
    if (step + 1 == a.tokens) break;
    append.ids = {&written.back(), 1};
    logits = session.append({&append, 1});
  }
  output.finish();
  if (!a.statistics) return;
  const double made = seconds_since(decoding);
  fmt::print(stderr, "load {:.1f} ms, prompt {} tokens at {:.1f} a second, then {:.1f} a second\n",
             1e3 * loaded, prompt, static_cast<double>(prompt) / read,
             static_cast<double>(a.tokens - 1) / made);
}

}  // namespace
}  // namespace formwork::runtime

int main(int argc, char** argv) {
  formwork::runtime::Arguments arguments;
  CLI::App app{"Continues a prompt with a Formwork model, token by token.", "formwork-run"};
  formwork::runtime::add_options(app, arguments);
  app.footer("Example:  formwork-run model --prompt 'Once upon' --tokens 50 --temperature 0.8");
  std::string message;
  try {
    app.parse(argc, argv);
    formwork::runtime::run(app, arguments);
    return 0;
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return formwork::cli::usage_error(app, error);
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    message = error.what();
  }
  std::replace(message.begin(), message.end(), '\n', ' ');
  fmt::print(stderr, "formwork-run: {}\n", message);
  return 2;
}
