// formwork generate MODEL: continues a prompt, token by token.
#include "command.h"
#include "formwork/decode/decode_strategy.h"
#include "formwork/tasks/text_source.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, prompt, strategy = "greedy", stop;
  std::vector<std::string> options;
  int64_t tokens = 200, seed = 0;
  bool json = false;
};

Json settings_in_force(const Arguments& arguments, const PartSpec& strategy, bool draws) {
  Json settings = {{"model", arguments.model},
                   {"tokens", arguments.tokens},
                   {"decode", Registry<DecodeStrategy>::in_force(strategy)}};
  if (draws) settings["seed"] = arguments.seed;
  if (!arguments.stop.empty()) settings["stop"] = arguments.stop;
  return settings;
}

std::optional<int64_t> stop_token(const Tokenizer& tokenizer, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto ids = tokenizer.encode(text);
  if (ids.size() != 1)
    fail("generate: --stop: expected the text of one token, found '{}', which are {}", text, ids.size());
  return ids[0];
}

void run(const CLI::App& command, const Arguments& arguments) {
  const PartSpec spec(arguments.strategy, parse_pairs(arguments.options, "--set"));
  const auto strategy = Registry<DecodeStrategy>::make(spec);
  if (!strategy->draws())
    refuse_without_effect(command, {"--seed"}, fmt::format("'{}' draws nothing", arguments.strategy));
  auto model = load_model(arguments.model);
  const auto tokenizer = model_tokenizer(model->spec().meta, arguments.model);
  const auto ids = tokenizer->encode(arguments.prompt);
  if (ids.empty()) fail("generate: the prompt has no tokens");
  DecodeRequest request;
  request.prompt = at::tensor(ids, at::kLong).unsqueeze(0);
  request.tokens = arguments.tokens;
  request.stop = stop_token(*tokenizer, arguments.stop);
  request.seed = static_cast<uint64_t>(arguments.seed);
  const auto made = strategy->decode(*model, request).front();
  const auto text = tokenizer->decode(made.tokens);
  if (!arguments.json) return fmt::print("{}{}\n", arguments.prompt, text);
  const Json row = {{"prompt", arguments.prompt},
                    {"text", text},
                    {"tokens", made.tokens.size()},
                    {"log probability", made.log_probability},
                    {"settings", settings_in_force(arguments, spec, strategy->draws())}};
  fmt::print("{}\n", Json::array({row}).dump(2, ' ', false, Json::error_handler_t::replace));
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("generate", "continue a prompt");
  command->add_option("model", arguments->model, "a model folder")->required();
  command->add_option("--prompt", arguments->prompt, "text to continue")->required();
  command->add_option("--tokens", arguments->tokens, "tokens to make")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  offer(command->add_option("--decode", arguments->strategy,
                            "how tokens are chosen; see `formwork list decode`"),
        names_of_kind("decode"))
      ->capture_default_str();
  command->add_option("--set", arguments->options,
                      "an option of the decode strategy as key=value; repeatable");
  command->add_option("--stop", arguments->stop, "end after this text, which must be one token");
  command->add_option("--seed", arguments->seed, "of the draws")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "print an array with one object");
  command->footer(
      "Example:  formwork generate model --prompt 'Once upon' --decode sample --set temperature=0.8");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
