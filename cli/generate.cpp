// formwork generate MODEL: continues a prompt, token by token.
#include "command.h"
#include "formwork/core/random.h"
#include "formwork/tasks/text_source.h"
#include "formwork/text/byte_tokenizer.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, prompt;
  int64_t tokens = 200, seed = 0;
  double temperature = 0;
  bool json = false;
};

int64_t choose(const Tensor& logits, const Arguments& arguments, int64_t step) {
  if (arguments.temperature <= 0) return logits.argmax().item<int64_t>();
  auto stream = make_stream(static_cast<uint64_t>(arguments.seed), "generate", static_cast<uint64_t>(step));
  return (logits / arguments.temperature).softmax(-1).multinomial(1, false, stream).item<int64_t>();
}

Json settings_in_force(const Arguments& arguments) {
  return {{"model", arguments.model},
          {"tokens", arguments.tokens},
          {"temperature", arguments.temperature},
          {"seed", arguments.seed}};
}

void run(const CLI::App& command, const Arguments& arguments) {
  if (arguments.temperature <= 0)
    refuse_without_effect(command, {"--seed"}, "nothing is drawn at temperature 0");
  const at::NoGradGuard guard;
  auto model = load_model(arguments.model);
  Json meta = model->spec().meta;
  const auto tokenizer = find_tokenizer(meta, "byte", 256, [] { return std::string(); });
  const auto ids = tokenizer->encode(arguments.prompt);
  if (ids.empty()) fail("generate: the prompt has no tokens");
  auto ctx = model->make_context();
  auto state = model->make_state(ctx, {}, StateOptions{});
  auto logits = model->append(ctx, {{"input_ids", at::tensor(ids, at::kLong).unsqueeze(0)}}, state)["logits"];
  std::vector<int64_t> made;
  for (int64_t i = 0; i < arguments.tokens; ++i) {
    made.push_back(choose(logits[0][-1], arguments, i));
    logits = model->append(ctx, {{"input_ids", at::full({1, 1}, made.back(), at::kLong)}}, state)["logits"];
  }
  const auto text = tokenizer->decode(made);
  if (arguments.json)
    fmt::print("{}\n", Json::array({{{"prompt", arguments.prompt},
                                     {"text", text},
                                     {"tokens", made.size()},
                                     {"settings", settings_in_force(arguments)}}})
                           .dump(2, ' ', false, Json::error_handler_t::replace));
  else
    fmt::print("{}{}\n", arguments.prompt, text);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("generate", "continue a prompt");
  command->add_option("model", arguments->model, "a model folder")->required();
  command->add_option("--prompt", arguments->prompt, "text to continue")->required();
  command->add_option("--tokens", arguments->tokens, "tokens to make")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--temperature", arguments->temperature, "0: the most probable token")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--seed", arguments->seed, "of sampling")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "print an array with one object");
  command->footer("Example:  formwork generate model --prompt 'Once upon' --temperature 0.8");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
