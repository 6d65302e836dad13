// formwork generate MODEL: continues a prompt, token by token.
#include "command.h"
#include "formwork/decode/decode_strategy.h"
#include "formwork/tasks/text_source.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, prompt, strategy = "greedy", stop;
  std::vector<int64_t> ids;
  std::vector<std::string> options;
  int64_t tokens = 200, seed = 0;
  bool json = false;
};

// `why_plain`: why the runtime does not decode this model; empty where it does.
Json settings_in_force(const Arguments& arguments, const PartSpec& strategy, bool draws,
                       const std::string& why_plain) {
  Json settings = {{"model", arguments.model},
                   {"tokens", arguments.tokens},
                   {"decode", Registry<DecodeStrategy>::in_force(strategy)}};
  if (draws) settings["seed"] = arguments.seed;
  if (!arguments.stop.empty()) settings["stop"] = arguments.stop;
  if (!why_plain.empty()) settings["plain path because"] = why_plain;
  return settings;
}

std::optional<int64_t> stop_token(const Tokenizer& tokenizer, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto ids = tokenizer.encode(text);
  if (ids.size() != 1)
    fail("generate: --stop: expected the text of one token, found '{}', which are {}", text, ids.size());
  return ids[0];
}

// An encoder-decoder reads the prompt with its encoder; its decoder begins with a token of its own.
void set_prompt(DecodeRequest& request, const Model& model, const std::vector<int64_t>& ids) {
  request.prompt = at::tensor(ids, at::kLong).unsqueeze(0);
  if (model.spec().model.type != "encoder_decoder") return;
  const Json start =
      model.spec().meta.value(Json::json_pointer("/hugging_face/config/decoder_start_token_id"), Json());
  if (!start.is_number_integer())
    fail("generate: expected a decoder_start_token_id in the model's config, found {}", start.dump());
  request.source = {{"input_ids", request.prompt}};
  request.prompt = at::full({1, 1}, start.get<int64_t>(), at::kLong);
}

// What was made from token ids, without a tokenizer.
void run_on_ids(const Arguments& arguments, const PartSpec& spec, const DecodeStrategy& strategy,
                Model& model, DecodeRequest request) {
  set_prompt(request, model, arguments.ids);
  const auto made = strategy.decode(model, request).front();
  if (!arguments.json) return fmt::print("{}\n", fmt::join(made.tokens, " "));
  const Json row = {
      {"prompt ids", arguments.ids},
      {"ids", made.tokens},
      {"tokens", made.tokens.size()},
      {"log probability", made.log_probability},
      {"settings", settings_in_force(arguments, spec, strategy.draws(), why_plain(model, request))}};
  fmt::print("{}\n", Json::array({row}).dump(2));
}

void run(const CLI::App& command, const Arguments& arguments) {
  if (arguments.prompt.empty() == arguments.ids.empty())
    fail("generate: expected a prompt, as --prompt TEXT or as --ids NUMBERS");
  const PartSpec spec(arguments.strategy, parse_pairs(arguments.options, "--set"));
  const auto strategy = Registry<DecodeStrategy>::make(spec);
  if (!strategy->draws())
    refuse_without_effect(command, {"--seed"}, fmt::format("'{}' draws nothing", arguments.strategy));
  auto model = load_model(arguments.model);
  DecodeRequest request;
  request.tokens = arguments.tokens;
  request.seed = static_cast<uint64_t>(arguments.seed);
  if (!arguments.ids.empty()) {
    refuse_without_effect(command, {"--stop"}, "it is text, and --ids has no tokenizer");
    return run_on_ids(arguments, spec, *strategy, *model, std::move(request));
  }
  const auto tokenizer = model_tokenizer(model->spec().meta, arguments.model);
  const auto ids = tokenizer->encode(arguments.prompt);
  if (ids.empty()) fail("generate: the prompt has no tokens");
  set_prompt(request, *model, ids);
  request.stop = stop_token(*tokenizer, arguments.stop);
  const auto made = strategy->decode(*model, request).front();
  const auto text = tokenizer->decode(made.tokens);
  if (!arguments.json) return fmt::print("{}{}\n", arguments.prompt, text);
  const Json row = {
      {"prompt", arguments.prompt},
      {"text", text},
      {"tokens", made.tokens.size()},
      {"log probability", made.log_probability},
      {"settings", settings_in_force(arguments, spec, strategy->draws(), why_plain(*model, request))}};
  fmt::print("{}\n", Json::array({row}).dump(2, ' ', false, Json::error_handler_t::replace));
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("generate", "continue a prompt");
  add_model_argument(*command, arguments->model);
  auto* prompt = command->add_option("--prompt", arguments->prompt, "text to continue");
  command->add_option("--ids", arguments->ids, "token ids to continue instead, \"5,7,11\"; prints ids")
      ->delimiter(',')
      ->excludes(prompt);
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
