// formwork generate MODEL: continues a prompt, token by token.
#include "command.h"
#include "formwork/tasks/text_source.h"

namespace formwork::cli::generate_command {
namespace {

struct Arguments {
  std::string model, prompt, stop;
  std::vector<int64_t> ids;
  DecodeChoice decode;
  int64_t tokens = 200;
  bool json = false;
};

// `why_plain`: why the runtime does not decode this model; empty where it does.
Json settings_in_force(const Arguments& arguments, bool draws, const std::string& why_plain) {
  Json settings = {{"model", arguments.model},
                   {"tokens", arguments.tokens},
                   {"decode", Registry<DecodeStrategy>::in_force(arguments.decode.spec())}};
  if (draws) settings["seed"] = arguments.decode.seed;
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
  if (!model.reads_source()) return;
  const Json start =
      model.spec().meta.value(Json::json_pointer("/hugging_face/config/decoder_start_token_id"), Json());
  if (!start.is_number_integer())
    fail("generate: expected a decoder_start_token_id in the model's config, found {}", start.dump());
  request.source = {{"input_ids", request.prompt}};
  request.prompt = at::full({1, 1}, start.get<int64_t>(), at::kLong);
}

// What an encoder reads is a whole text, with the special tokens around it; a decoder goes on with its
// prompt.
std::vector<int64_t> prompt_ids(const Arguments& arguments, const Model& model, const Tokenizer* tokenizer) {
  if (!tokenizer) return arguments.ids;
  auto ids = model.reads_source() ? tokenizer->encode_for_model(arguments.prompt).ids
                                  : tokenizer->encode(arguments.prompt);
  if (ids.empty()) fail("generate: the prompt has no tokens");
  return ids;
}

// `tokenizer` is null where the prompt was given as ids, and then ids are what comes out.
Json row_of(const Arguments& arguments, const Tokenizer* tokenizer, const Continuation& made) {
  Json row;
  if (tokenizer)
    row = {{"prompt", arguments.prompt}, {"text", tokenizer->decode(made.tokens)}};
  else
    row = {{"prompt ids", arguments.ids}, {"ids", made.tokens}};
  row["tokens"] = made.tokens.size();
  row["log probability"] = made.log_probability;
  return row;
}

void run(const CLI::App& command, const Arguments& arguments) {
  if (arguments.prompt.empty() == arguments.ids.empty())
    fail("generate: expected a prompt, as --prompt TEXT or as --ids NUMBERS");
  const auto strategy = arguments.decode.make(command);
  const auto model = load_model(arguments.model);
  std::shared_ptr<const Tokenizer> tokenizer;
  if (arguments.ids.empty())
    tokenizer = model_tokenizer(model->spec().meta, arguments.model);
  else
    refuse_without_effect(command, {"--stop"}, "it is text, and --ids has no tokenizer");
  DecodeRequest request;
  request.tokens = arguments.tokens;
  request.seed = static_cast<uint64_t>(arguments.decode.seed);
  set_prompt(request, *model, prompt_ids(arguments, *model, tokenizer.get()));
  if (tokenizer) request.stop = stop_token(*tokenizer, arguments.stop);
  int64_t passes = 0;
  request.on_pass = [&](int64_t, int64_t) { ++passes; };
  std::string why_plain;
  request.on_path = [&](const std::string& reason) { why_plain = reason; };
  const auto made = strategy->decode(*model, request).front();
  auto row = row_of(arguments, tokenizer.get(), made);
  if (passes > 0) row["passes"] = passes;
  if (arguments.json) {
    row["settings"] = settings_in_force(arguments, strategy->draws(), why_plain);
    fmt::print("{}\n", Json::array({row}).dump(2, ' ', false, Json::error_handler_t::replace));
  } else if (tokenizer) {
    fmt::print("{}{}\n", model->reads_source() ? "" : arguments.prompt, row["text"].get<std::string>());
  } else {
    fmt::print("{}\n", fmt::join(made.tokens, " "));
  }
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
  arguments->decode.add_to(*command);
  command->add_option("--stop", arguments->stop, "end after this text, which must be one token");
  command->add_flag("--json", arguments->json, "print an array with one object");
  command->footer(
      "Example:  formwork generate model --prompt 'Once upon' --decode sample --set temperature=0.8");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::generate_command
